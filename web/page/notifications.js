// Results that are sent to URLs: lists by state, and one with its last attempt.

import {act, get, repeat} from "./api.js";
import {confirmed} from "./ask.js";
import {fill, h, setText, tag} from "./dom.js";
import {bytes, clock, count, duration, seconds} from "./format.js";
import {problemLine, resultLine} from "./notice.js";
import {Table, text} from "./table.js";
import {notification as toneOf} from "./words.js";

const states = [["open", "Open"], ["dead", "Dead"], ["refused", "Refused"], ["gone", "Gone"]];
const shown = 100;

function host(one) {
	try {
		return new URL(one.url).host;
	} catch {
		return one.url;
	}
}

function last(one) {
	if (!one.last) return "none yet";
	return one.last.status ? `${one.last.outcome} (${one.last.status})` : one.last.outcome;
}

function next(one, now) {
	if (one.sending) return "an attempt runs";
	if (one.state !== "open" || !one.due) return "–";
	const left = Date.parse(one.due) - now;
	return left > 500 ? `in ${seconds(left)}` : "now";
}

const address = id => `#/notifications/${encodeURIComponent(id)}`;

export function notifications(context, {query}, stop) {
	const {live} = context, state = query.get("state") ?? "open", after = query.get("after");
	const problem = problemLine(), further = h("p", {class: "note"}), none = h("p", {class: "empty", hidden: true}, "No route of this gateway pushes results, so there are no notifications. docs/notifications.md says how to turn them on.");
	const table = new Table({
		caption: `Notifications that are ${state}`, empty: `There are no notifications that are ${state}.`, most: shown, key: one => one.id,
		columns: [
			{label: "Notification", class: "id", cell: (cell, one) => fill(cell, one.id, () => h("a", {href: address(one.id)}, one.id))},
			{label: "State", cell: (cell, one) => fill(cell, one.state, () => tag(toneOf(one.state), one.state))},
			text("Age", one => seconds(live.now() - Date.parse(one.created)), {class: "n"}),
			text("Receiver", one => host(one)), text("Attempts", one => count(one.attempts), {class: "n"}), text("Last", last), text("Next", one => next(one, live.now())),
		],
	});
	const asked = new URLSearchParams({state, limit: String(shown)});
	if (after) asked.set("after", after);
	repeat(async () => {
		if (live.status?.pushes === false) {
			none.hidden = false;
			table.root.hidden = true;
			return;
		}
		try {
			const list = await get(`api/notifications?${asked}`, stop);
			table.show(list.notifications, list.notifications.length);
			fill(further, list.after ?? "", () => list.after ? h("a", {href: `#/notifications?${new URLSearchParams({state, after: list.after})}`}, "Those behind these") : null);
			none.hidden = true;
			table.root.hidden = false;
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	}, () => 2000, stop);
	const tabs = h("nav", {"aria-label": "States of notifications"}, h("ul", {class: "tabs"}, states.map(([value, label]) =>
		h("li", null, h("a", {href: `#/notifications?state=${value}`, "aria-current": value === state && "page"}, label)))));
	return {title: "Notifications", root: h("div", null, h("h1", {tabindex: "-1"}, "Notifications"),
		h("p", {class: "lead"}, "Results that are sent to URLs, the oldest first. Delivered ones are known for an hour, by their ids alone: find one above."), tabs, problem.root, none, table.root, further)};
}

export function notification(context, {name}, stop) {
	const {live} = context;
	const problem = problemLine(), result = resultLine(context), facts = h("dl", {class: "facts"}), attempt = h("section", {"aria-labelledby": "attempt", hidden: true});
	let dropped = false, one = null;
	const retry = h("button", {type: "button", id: "retry", onclick: () => change("Send it now?", `The result is sent to ${host(one)} once more. One that has ended is tried again for the whole window.`, "Send it now",
		() => act("POST", `api/notifications/${encodeURIComponent(name)}/retry`), "It is sent now.")}, "Send it now…");
	const drop = h("button", {type: "button", id: "drop", class: "danger", onclick: () => change("Drop this notification?", "It is never sent again, and its receiver does not get this result. This cannot be undone.", "Drop it", async () => {
		await act("DELETE", `api/notifications/${encodeURIComponent(name)}`);
		dropped = true;
	}, "It is dropped. An attempt that runs goes on.")}, "Drop it…");
	const buttons = h("p", {class: "buttons", hidden: true}, retry, drop), readOnly = h("p", {class: "note", hidden: true}, "Read-only: ", h("code", null, "admin.actions: true"), " in the configuration allows to send it now or to drop it here.");

	const change = async (title, question, yes, action, words) => {
		if (!await confirmed(title, question, yes)) return;
		try {
			await action();
			problem.clear();
			result.show(words);
		} catch (e) {
			problem.show(e, stop);
		}
		read();
	};
	const read = async () => {
		if (dropped) {
			buttons.hidden = true;
			return;
		}
		try {
			one = await get(`api/notifications/${encodeURIComponent(name)}`, stop);
			showFacts(facts, one, live.now());
			showAttempt(attempt, one.last);
			const ends = one.state === "delivered";
			buttons.hidden = ends || !live.status?.actions;
			readOnly.hidden = ends || !live.status || live.status.actions;
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	};
	repeat(read, () => 1000, stop);
	return {title: `Notification ${name}`, root: h("div", null, h("h1", {tabindex: "-1"}, "Notification ", h("code", null, name)), problem.root, facts, h("div", {class: "actions"}, buttons, readOnly, result.root), attempt,
		h("p", {class: "note"}, h("a", {href: "#/notifications"}, "All notifications")))};
}

function showFacts(list, one, now) {
	const all = [["Receiver", one.url], ["Created", `${clock(one.created)}, ${seconds(now - Date.parse(one.created))} ago`], ["Attempts", count(one.attempts)], ["Next attempt", next(one, now)],
		["Ended", one.ended ? clock(one.ended) : ""], ["Body", bytes(one.size)], ["Subscription", one.subscription]].filter(([, value]) => value);
	fill(list, JSON.stringify([one.state, one.trip, all.map(([name]) => name)]), () => [
		h("div", null, h("dt", null, "State"), h("dd", null, tag(toneOf(one.state), one.state))),
		one.trip && h("div", null, h("dt", null, "Trip"), h("dd", null, h("a", {href: `#/trips/${encodeURIComponent(one.trip)}`}, one.trip))),
		all.map(([name]) => h("div", null, h("dt", null, name), h("dd", {"data-fact": name}))),
	].flat());
	const cells = [...list.querySelectorAll("[data-fact]")];
	all.forEach(([, value], i) => setText(cells[i], value));
}

function showAttempt(section, attempt) {
	section.hidden = !attempt;
	if (!attempt) return;
	fill(section, JSON.stringify(attempt), () => {
		const good = attempt.outcome === "delivered";
		const all = [["When", clock(attempt.at, true)], ["Took", duration(attempt.duration_ns / 1e6)], ["Status", attempt.status ? String(attempt.status) : "no answer"], ["Why", attempt.error]].filter(([, value]) => value);
		return [h("h2", {id: "attempt"}, `Attempt ${attempt.attempt}, the last one`), h("dl", {class: "facts"}, h("div", null, h("dt", null, "Outcome"), h("dd", null, tag(good ? "good" : "bad", attempt.outcome === "status" ? `status ${attempt.status}` : attempt.outcome))),
			all.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))))];
	});
}
