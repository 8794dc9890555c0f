// The table of trips, which several parts of the page show.

import {fill, h, setText, tag} from "./dom.js";
import {clock, count, duration, seconds} from "./format.js";
import {Table, text} from "./table.js";
import {state} from "./words.js";

// address gives where one trip is shown. Requests may share an id, so the time tells them apart.
export function address(trip) {
	return `#/trips/${encodeURIComponent(trip.trip || trip.request_id)}?accepted=${encodeURIComponent(trip.accepted)}`;
}

export const tripKey = trip => `${trip.request_id} ${trip.trip ?? ""} ${trip.accepted}`;

// ended gives how long a trip took, null for one that is not over.
export function took(trip) {
	return trip.replied ? Date.parse(trip.replied) - Date.parse(trip.accepted) : null;
}

function named(cell, trip) {
	const op = trip.ops?.[0];
	const parts = [op?.process && `process ${op.process}`, op?.ref && `ref ${op.ref}`, op?.engine_task && `task ${op.engine_task}`, trip.op_count > 1 && `${count(trip.op_count)} ops`];
	setText(cell, parts.filter(Boolean).join(" · "));
}

// tripTable makes a table of trips. over: they are over, so that it shows when they began and how long they took. now gives the time of the node.
export function tripTable({caption, empty, over, now, most}) {
	const time = over
		? [text("Began", trip => clock(trip.accepted), {class: "time"}), text("Took", trip => duration(took(trip)), {class: "n"})]
		: [text("Age", trip => seconds(Math.max(0, now() - Date.parse(trip.accepted))), {class: "n"}), text("Deadline in", trip => trip.deadline ? seconds(Math.max(0, Date.parse(trip.deadline) - now())) : "–", {class: "n"})];
	return new Table({
		caption, empty, most, key: tripKey,
		columns: [
			{label: "Request", class: "id request", cell: (cell, trip) => fill(cell, address(trip), () => h("a", {href: address(trip)}, trip.request_id || trip.trip))},
			...time,
			{label: "State", cell: (cell, trip) => {
				const {tone, word, meaning} = state(trip);
				fill(cell, tone + word, () => tag(tone, word, meaning));
			}},
			text("Route", trip => trip.route),
			text("Login", trip => trip.login),
			text("Engine", trip => trip.engine),
			{label: "Operation", class: "wide named", cell: named},
		],
	});
}
