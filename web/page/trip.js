// One trip, found by any of its names: its timeline, what to check next, its operations.

import {act, find, repeat} from "./api.js";
import {confirmed} from "./ask.js";
import {fill, h, setText, tag} from "./dom.js";
import {count, duration, plural} from "./format.js";
import {problemLine, resultLine} from "./notice.js";
import {Table, text} from "./table.js";
import {Timeline} from "./timeline.js";
import {tripTable, took} from "./triptable.js";
import {opState, state} from "./words.js";

const arrives = 15_000; // milliseconds for which a trip that is not known yet is waited for

export function trip(context, {name, query}, stop) {
	const {live} = context, wanted = query.get("accepted"), began = Date.now();
	const problem = problemLine(), card = tripCard(context, name, stop, () => read());
	const several = tripTable({caption: "Trips with this name", empty: "", over: true, now: () => live.now()});
	const said = h("p", {class: "note"}), elsewhere = h("p", {class: "note"});
	const title = h("h1", {tabindex: "-1"}, "Trip ", h("code", null, name));
	let shown = null, announced = "";

	const say = text => {
		setText(said, text);
		if (text && text !== announced) context.announce(text);
		announced = text;
	};
	const show = answer => {
		shown = answer.trips.find(one => one.accepted === wanted) ?? (answer.trips.length === 1 ? answer.trips[0] : null);
		const many = answer.trips.length > 1;
		several.root.hidden = !many;
		if (many) several.show(answer.trips, answer.trips.length);
		card.root.hidden = !shown;
		if (shown) card.show(shown, live.now());
		setText(elsewhere, elsewhereWords(answer));
		if (answer.trips.length === 0) say(unknownWords(answer, name, began));
		else if (many && !shown) say(`${plural(answer.trips.length, "trip")} have this name${answer.more ? ", and there are more" : ""}. Choose one.`);
		else say(shown.state === "over" ? `The trip is over: ${state(shown).word}.` : `The trip is ${state(shown).word}.`);
	};
	const read = async () => {
		try {
			show(await find(name, stop));
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	};
	several.root.hidden = card.root.hidden = true;
	repeat(read, () => pause(shown, live.now(), began), stop);
	return {title: `Trip ${name}`, root: h("div", null, title, problem.root, said, elsewhere, several.root, card.root)};
}

// pause gives how long the next question waits. A trip that has just begun changes often.
function pause(trip, now, began) {
	if (!trip) return Date.now() - began < arrives ? 250 : 3000;
	const age = now - Date.parse(trip.accepted);
	if (trip.state !== "over") return age < 10_000 ? 250 : 1000;
	return age < 10_000 ? 500 : 3000; // late callbacks may come
}

function unknownWords(answer, name, began) {
	if (name.startsWith("demo-") && Date.now() - began < arrives) return "Not here yet: waiting for the call to arrive.";
	const remembered = answer.remembered > 0 ? `the last ${count(answer.remembered)} that are over` : "none that is over: admin.trips is 0";
	return `This node knows no such trip. It knows those in flight, and ${remembered}. A request that was refused before its login was proved is in the log only, and each node knows its own requests.`;
}

function elsewhereWords(answer) {
	const words = [];
	if (answer.home) words.push(`It is at another node, ${answer.home}: ask there. This one is ${answer.node}.`);
	if (answer.record) words.push(`The store has a result for it: ${answer.record.final} of ${plural(answer.record.ops, "operation")} final.`);
	return words.join(" ");
}

// tripCard shows one trip.
function tripCard(context, name, stop, reload) {
	const facts = h("dl", {class: "facts"}), timeline = new Timeline(), next = h("section", {class: "next", "aria-labelledby": "next"});
	const operations = new Table({
		caption: "Operations of the trip", empty: "The request was not read, so no operation is known.", most: 8, key: op => op.op,
		columns: [
			text("Operation", op => String(op.op)),
			{label: "State", cell: (cell, op) => {
				const {tone, word} = opState(op.state);
				fill(cell, tone + word, () => tag(tone, word));
			}},
			text("Process", op => op.process), text("Ref", op => op.ref, {class: "id"}), text("Engine's task", op => op.engine_task, {class: "id"}),
		],
	});
	const actions = tripActions(context, name, stop, reload);
	const root = h("div", {class: "trip"}, facts, actions.root, next,
		h("section", {"aria-labelledby": "when"}, h("h2", {id: "when"}, "Timeline"), timeline.root),
		h("section", {"aria-labelledby": "ops"}, h("h2", {id: "ops"}, "Operations"), operations.root));
	return {root, show(one, now) {
		showFacts(facts, one, now);
		timeline.show(one, now);
		operations.show(one.ops ?? [], one.op_count);
		const sentences = one.next ?? [];
		next.hidden = sentences.length === 0;
		fill(next, JSON.stringify(sentences), () => [h("h2", {id: "next"}, "What to check next"), h("ol", null, sentences.map(sentence => h("li", null, sentence)))]);
		actions.show(one);
	}};
}

function showFacts(list, trip, now) {
	const {tone, word, meaning} = state(trip);
	const time = trip.state === "over" ? duration(took(trip)) : duration(Math.round(Math.max(0, now - Date.parse(trip.accepted)) / 100) * 100);
	const all = [
		["State", null], [trip.state === "over" ? "Took" : "Age", time], ["Request id", trip.request_id], ["Trip", trip.trip], ["Route", trip.route], ["Login", trip.login], ["Engine", trip.engine],
		["Reply", trip.status ? `status ${trip.status}${trip.reason ? `, ${trip.reason}` : ""}` : ""],
	].filter(([, value]) => value === null || value);
	fill(list, JSON.stringify([tone, word, all.map(([name]) => name), trip.request_id, trip.status, trip.reason]), () => all.map(([name, value]) =>
		h("div", null, h("dt", null, name), h("dd", {"data-fact": name}, value === null ? tag(tone, word, meaning) : value))));
	for (const [name, value] of all) {
		if (value !== null) setText([...list.querySelectorAll("dd")].find(dd => dd.dataset.fact === name), value);
	}
}

// tripActions has the button that cancels, where the node allows that.
function tripActions({live, announce}, name, stop, reload) {
	const problem = problemLine(), result = resultLine({announce});
	let current = null;
	const button = h("button", {type: "button", class: "danger", onclick: async () => {
		const trip = current;
		if (!await confirmed("Cancel this trip?", `The client of request ${trip.request_id} gets the answer that its task was cancelled, and the engine is asked to stop. This cannot be undone.`, "Cancel the trip")) return;
		try {
			await act("POST", `api/trips/${encodeURIComponent(trip.trip || name)}/cancel`);
			problem.clear();
			result.show("The trip was cancelled.");
		} catch (e) {
			problem.show(e, stop);
		}
		reload();
	}}, "Cancel the trip…");
	const readOnly = h("p", {class: "note"}, "Read-only: ", h("code", null, "admin.actions: true"), " in the configuration allows to cancel it here.");
	const buttons = h("p", {class: "buttons"}, button);
	return {root: h("div", {class: "actions"}, buttons, readOnly, problem.root, result.root), show(trip) {
		current = trip;
		const kept = trip.kept_until && Date.parse(trip.kept_until) > live.now(); // for a client that has been answered
		const open = trip.state !== "over" || kept && trip.ops?.some(op => op.state === "open");
		buttons.hidden = !open || !live.status?.actions;
		readOnly.hidden = !open || !live.status || live.status.actions;
	}};
}
