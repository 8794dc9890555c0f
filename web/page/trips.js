// Lists of trips, filtered. The filter is in the address of the page, so that it can be sent to a colleague.

import {get, repeat} from "./api.js";
import {h, setText} from "./dom.js";
import {plural} from "./format.js";
import {problemLine} from "./notice.js";
import {tripTable} from "./triptable.js";
import {outcomeNames} from "./words.js";

const states = [["in_flight", "in flight"], ["waiting", "waiting for a callback"], ["queued", "queued for the engine"], ["over", "over"]];
const shown = 100;

export function trips(context, {query}, stop) {
	const {live, go} = context;
	const state = query.get("state") ?? "in_flight", over = state === "over";
	const asked = new URLSearchParams({state, limit: String(shown)});
	for (const name of ["route", "login", "outcome", "older_ms"]) {
		if (query.get(name)) asked.set(name, query.get(name));
	}
	const table = tripTable({caption: "Trips", empty: over ? "No trip that the node remembers fits the filter." : "No trip in flight fits the filter.", over, now: () => live.now(), most: shown});
	const problem = problemLine(), total = h("p", {class: "note"});
	repeat(async () => {
		if (!live.live && live.since) return;
		try {
			const found = await get(`api/trips?${asked}`, stop);
			table.show(found.trips, found.total);
			setText(total, `${plural(found.total, "trip")}, ${over ? "the newest" : "the oldest"} first`);
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	}, () => 2000, stop);
	return {title: "Trips", root: h("div", null, h("h1", {tabindex: "-1"}, "Trips"), filters(query, state, go), problem.root, table.root, total)};
}

function filters(query, state, go) {
	const options = (all, chosen) => all.map(([value, label]) => h("option", {value, selected: value === chosen}, label));
	const field = (name, label, input) => h("p", null, h("label", {for: "filter-" + name}, label), input);
	const input = (name, more) => h("input", {id: "filter-" + name, name, value: query.get(name) ?? "", autocomplete: "off", spellcheck: "false", ...more});
	const older = query.get("older_ms");
	const form = h("form", {class: "filters"},
		field("state", "State", h("select", {id: "filter-state", name: "state"}, options(states, state))),
		field("route", "Route", input("route")),
		field("login", "Login", input("login")),
		field("outcome", "Outcome", h("select", {id: "filter-outcome", name: "outcome"}, options([["", "any"], ...outcomeNames.map(name => [name, name.replaceAll("_", " ")])], query.get("outcome") ?? ""))),
		field("older", "Older than (seconds)", input("older", {type: "number", min: "0", step: "any", value: older ? Number(older) / 1000 : ""})),
		h("p", {class: "buttons"}, h("button", {type: "submit"}, "Show")));
	form.addEventListener("submit", event => {
		event.preventDefault();
		const given = new FormData(form), next = new URLSearchParams({state: given.get("state")});
		for (const name of ["route", "login"]) {
			if (given.get(name).trim()) next.set(name, given.get(name).trim());
		}
		if (given.get("outcome") && given.get("state") === "over") next.set("outcome", given.get("outcome"));
		if (Number(given.get("older")) > 0) next.set("older_ms", String(Math.round(1000 * Number(given.get("older")))));
		go(`#/trips?${next}`);
	});
	const outcome = form.elements.outcome, only = () => outcome.disabled = form.elements.state.value !== "over";
	form.elements.state.addEventListener("change", only);
	only();
	return form;
}
