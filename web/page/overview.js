// The first part of the page: how the node is, what is under way by route and login, the oldest trips in flight, and those that ended last.

import {get, repeat} from "./api.js";
import {demoPanel} from "./demo.js";
import {fill, h, setText, tag} from "./dom.js";
import {bytes, count, duration, plural, rate, seconds} from "./format.js";
import {problemLine} from "./notice.js";
import {number, Table, text} from "./table.js";
import {tripTable} from "./triptable.js";
import {outcome} from "./words.js";

const windows = [[60, "last minute"], [300, "last 5 minutes"], [900, "last 15 minutes"], [3600, "last hour"]];
const oldestShown = 100, endedShown = 15;

export function overview(context, _, stop) {
	const {live} = context;
	const figures = h("dl", {class: "figures"});
	const since = h("p", {class: "note"});
	const groups = groupTable();
	const choice = h("select", {id: "window"}, windows.map(([value, label]) => h("option", {value}, label)));
	const waiting = tripTable({caption: "Trips in flight, the oldest first", empty: "Nothing is in flight: nobody waits.", now: () => live.now(), most: oldestShown});
	const ended = tripTable({caption: "Trips that ended last", empty: "No trip has ended since the node started.", over: true, now: () => live.now(), most: endedShown});
	const problem = problemLine();
	let window = 60;

	const showSummary = summary => {
		groups.show(summary.groups, summary.groups.length);
		const total = summary.groups.reduce((sum, group) => sum + group.in_flight, 0);
		const words = [`${plural(total, "trip")} in flight`];
		words.push(summary.covered_s < summary.window_s - 1 ? `ended trips of the last ${seconds(summary.covered_s * 1000)}: the node knows no more` : `ended trips of the ${windows.find(([value]) => value === window)[1]}`);
		if (summary.more) words.push(`only the busiest ${count(summary.groups.length)} are shown`);
		setText(since, words.join(" · "));
	};
	const onStatus = () => showFigures(figures, live.status);
	live.addEventListener("status", onStatus, {signal: stop});
	live.addEventListener("summary", () => window === 60 && showSummary(live.summary), {signal: stop});
	if (live.status) onStatus();
	if (live.summary) showSummary(live.summary);

	const readLong = async () => {
		if (window === 60 || !live.live) return;
		const asked = window;
		try {
			const summary = await get(`api/summary?window=${asked}`, stop);
			if (asked === window) showSummary(summary);
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	};
	choice.addEventListener("change", () => {
		window = Number(choice.value);
		if (window === 60 && live.summary) showSummary(live.summary);
		readLong();
	});
	repeat(readLong, () => 5000, stop);
	repeat(async () => {
		if (!live.live) return;
		try {
			const [flight, over] = await Promise.all([get(`api/trips?state=in_flight&limit=${oldestShown}`, stop), get(`api/trips?state=over&limit=${endedShown}`, stop)]);
			waiting.show(flight.trips, flight.total);
			ended.show(over.trips, over.total);
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	}, () => live.status?.parked > 1000 ? 3000 : 1000, stop);

	return {title: "Live", root: h("div", null,
		h("h1", {tabindex: "-1"}, "Live"), problem.root, demoPanel(context, stop),
		h("section", {"aria-labelledby": "how"}, h("h2", {id: "how"}, "The node"), figures),
		h("section", {"aria-labelledby": "by"}, h("div", {class: "headline"}, h("h2", {id: "by"}, "By route and login"), h("p", {class: "choice"}, h("label", {for: "window"}, "Ended in the"), " ", choice)), groups.root, since),
		h("section", {"aria-labelledby": "oldest"}, h("div", {class: "headline"}, h("h2", {id: "oldest"}, "In flight, oldest first"), h("a", {href: "#/trips?state=in_flight"}, "Filter")), waiting.root),
		h("section", {"aria-labelledby": "last"}, h("div", {class: "headline"}, h("h2", {id: "last"}, "Ended last"), h("a", {href: "#/trips?state=over"}, "Filter")), ended.root))};
}

function groupTable() {
	const filter = group => `#/trips?state=in_flight&route=${encodeURIComponent(group.route)}&login=${encodeURIComponent(group.login)}`;
	return new Table({
		caption: "Trips by route and login", empty: "No trip is in flight, and none has ended in this time.", most: 200, sort: "In flight", key: group => JSON.stringify([group.route, group.login]),
		columns: [
			{label: "Route", class: "id", ascending: true, order: group => group.route, cell: (cell, group) => fill(cell, filter(group), () => h("a", {href: filter(group)}, group.route || "(none)"))},
			text("Login", group => group.login, {ascending: true, order: group => group.login}),
			number("In flight", group => count(group.in_flight), group => group.in_flight),
			number("Queued", group => count(group.queued), group => group.queued),
			number("Oldest", group => group.in_flight ? seconds(group.oldest_ms) : "–", group => group.oldest_ms),
			number("Rate", group => rate(group.rate), group => group.rate),
			{label: "Outcomes", class: "wide", cell: showOutcomes},
			text("Engine p50", group => duration(group.engine_p50_ms), {class: "n"}),
			text("p99", group => duration(group.engine_p99_ms), {class: "n", name: "Engine p99"}),
			text("Wait p50", group => duration(group.wait_p50_ms), {class: "n"}),
			text("p99", group => duration(group.wait_p99_ms), {class: "n", name: "Wait p99"}),
		],
	});
}

function showOutcomes(cell, group) {
	const all = Object.entries(group.outcomes).sort(([a], [b]) => a < b ? -1 : 1);
	fill(cell, JSON.stringify(all), () => all.length === 0 ? "–" : all.map(([name, n]) => {
		const {tone, word, meaning} = outcome(name);
		return tag(tone, `${count(n)} ${word}`, meaning);
	}));
}

// showFigures shows the states of the node as words and numbers.
function showFigures(list, status) {
	const figure = (name, value, more, tone) => ({name, value, more, tone});
	const full = status.limit_parked > 0 && status.parked >= 0.9 * status.limit_parked;
	const all = [
		figure("Clients that wait", count(status.parked), `of at most ${count(status.limit_parked)}`, full ? "warn" : ""),
		figure("Wait for a connection", count(status.queued), "to an engine", status.queued > 0 ? "warn" : ""),
		figure("Streams of events", count(status.streams), ""),
		figure("Results kept", count(status.results_kept), status.results_kept_bytes == null ? "in Redis" : bytes(status.results_kept_bytes)),
		figure("Not saved yet", count(status.unsaved), "results that the store has not taken", status.unsaved > 0 ? "bad" : ""),
		...(status.engines ?? []).map(engine => figure(`Engine ${engine.name}`, `${count(engine.busy)} busy`,
			engine.breaker_open ? "breaker open: it refuses connections" : `${count(engine.idle)} idle, ${count(engine.queued)} queued, at most ${count(engine.limit)}`,
			engine.breaker_open ? "bad" : engine.queued > 0 ? "warn" : "")),
	];
	fill(list, JSON.stringify(all), () => all.map(({name, value, more, tone}) => h("div", {class: "figure " + tone}, h("dt", null, name), h("dd", null, tone ? tag(tone, value) : h("b", null, value), h("small", null, more)))));
}
