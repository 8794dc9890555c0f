// One trip as a timeline: what has happened, in order, and what is still to come.

import {arrange, draw, fill, h, setText, sign} from "./dom.js";
import {clock, duration, plural, seconds} from "./format.js";
import {outcome} from "./words.js";

const at = time => time ? Date.parse(time) : null;

// steps gives what happened to a trip: key, time in milliseconds (null: it has not happened), tone, title and detail. now is the time of the node.
export function steps(trip, now) {
	const over = trip.state === "over";
	const done = [accepted(trip), forwarded(trip), answered(trip), ...callbacks(trip), over ? replied(trip) : null, ...late(trip), kept(trip, now)].filter(step => step?.at != null);
	// A trip has whole milliseconds: steps of the same one stay in their natural order.
	done.sort((a, b) => a.at - b.at);
	return [...done, ...(over ? [] : pending(trip, now))];
}

function accepted(trip) {
	const more = [trip.login && `login ${trip.login}`, trip.route && `route ${trip.route}`, trip.keyed && "with an Idempotency-Key", trip.joined && "it waits for another request with the same key"];
	return {key: "accepted", at: at(trip.accepted), tone: "in", title: "Accepted", detail: more.filter(Boolean).join(", ")};
}

function forwarded(trip) {
	return {key: "forwarded", at: at(trip.forwarded), tone: "out", title: "Forwarded", detail: trip.engine ? `to engine ${trip.engine}` : "to the engine"};
}

function answered(trip) {
	const ok = trip.engine_status >= 200 && trip.engine_status < 300;
	return {
		key: "answered", at: at(trip.engine_answered), tone: ok ? "good" : "bad", title: trip.engine_status ? "Engine answered" : "Engine gave no answer",
		detail: trip.engine_status ? `status ${trip.engine_status}` : "the exchange with the engine ended without one",
	};
}

function callbacks(trip) {
	if (!trip.callbacks) return [];
	const last = {key: "last", at: at(trip.last_callback), tone: "good", title: "Callback", detail: trip.op_count > 1 ? `${trip.callbacks} of ${trip.op_count}` : "the result"};
	if (trip.callbacks === 1) return [last];
	return [{...last, key: "first", at: at(trip.first_callback), title: "First callback", detail: `1 of ${trip.op_count}`}, {...last, title: trip.callbacks === trip.op_count ? "Last callback" : "Callback"}];
}

function replied(trip) {
	const {tone, word, meaning} = outcome(trip.outcome);
	const status = trip.status ? `status ${trip.status}` : "";
	const detail = [status, trip.reason && `reason ${trip.reason}`, meaning, trip.hung_up && "the client had left, and did not get it"].filter(Boolean).join(", ");
	if (trip.outcome === "timeout") return {key: "replied", at: at(trip.replied), tone, title: "Time-out", detail};
	if (trip.outcome === "hung_up") return {key: "replied", at: at(trip.replied), tone, title: "The client left", detail};
	return {key: "replied", at: at(trip.replied), tone, title: `Replied: ${word}`, detail};
}

function late(trip) {
	const isLate = trip.outcome !== "handed_over"; // its client did not wait for it
	return (trip.late_callbacks ?? []).map((callback, i) => ({
		key: `late ${i}`, at: at(callback.at), tone: callback.kept ? "good" : "warn", title: isLate ? "Late callback" : "Callback",
		detail: [trip.op_count > 1 && `operation ${callback.op}`, callback.kept ? "its result is kept" : "its result is not kept"].filter(Boolean).join(", "),
	}));
}

function kept(trip, now) {
	const until = at(trip.kept_until);
	return until && {
		key: "kept", at: until, tone: "keep", future: until > now, title: until > now ? "Kept until" : "Was kept until",
		detail: until > now ? `the client can fetch the result for ${seconds(until - now)} more` : "",
	};
}

function pending(trip, now) {
	const step = (key, title, detail) => ({key, at: null, tone: "none", title, detail});
	const list = [];
	if (trip.state === "queued") list.push(step("forwarded", "Waits for a connection to the engine", ""));
	else if (trip.joined) list.push(step("forwarded", "Waits for the other request with its key", ""));
	else if (!trip.forwarded) list.push(step("forwarded", "Not forwarded", "an operation that is completed by its name has no engine"));
	else if (!trip.engine_answered) list.push(step("answered", "Waits for the engine's answer", ""));
	const open = trip.op_count - trip.callbacks;
	if (open > 0) list.push(step("last", trip.op_count > 1 ? `Waits for ${plural(open, "callback")}` : "Waits for the callback", ""));
	if (trip.deadline) {
		const left = at(trip.deadline) - now;
		list.push({...step("deadline", "Deadline", left > 0 ? `in ${seconds(left)}` : "now"), at: at(trip.deadline), future: true});
	}
	return list;
}

// Timeline shows the steps of a trip as a list, and above it where the time went.
export class Timeline {
	#list = h("ol", {class: "timeline"});
	#bar = h("figure", {class: "spans"});
	#rows = new Map();
	root = h("div", null, this.#bar, this.#list);

	show(trip, now) {
		const all = steps(trip, now), keys = new Set(all.map(step => step.key));
		for (const key of this.#rows.keys()) {
			if (!keys.has(key)) this.#rows.delete(key);
		}
		arrange(this.#list, all.map(step => this.#row(step, at(trip.accepted))));
		this.#showSpans(trip, now);
	}

	#row(step, began) {
		let row = this.#rows.get(step.key);
		if (!row) {
			row = {mark: h("span", {class: "mark"}), time: h("time", {class: "n"}), offset: h("span", {class: "offset n"}), title: h("strong"), detail: h("span", {class: "detail"})};
			row.item = h("li", null, row.mark, row.time, row.offset, h("span", {class: "what"}, row.title, " ", row.detail));
			this.#rows.set(step.key, row);
		}
		const waits = step.at == null || step.future;
		row.item.className = waits ? "to-come" : "done";
		fill(row.mark, step.tone, () => sign(step.tone));
		if (step.at != null) row.time.dateTime = new Date(step.at).toISOString();
		setText(row.time, step.at == null ? "to come" : clock(step.at, true));
		setText(row.offset, step.at == null || step.key === "accepted" ? "" : "+" + duration(step.at - began));
		setText(row.title, step.title);
		setText(row.detail, step.detail);
		return row.item;
	}

	// #showSpans draws the shares of gateway, engine and wait. The words under it say the same.
	#showSpans(trip, now) {
		const all = spans(trip, now), total = all.reduce((sum, span) => sum + span.ms, 0);
		this.#bar.hidden = total <= 0;
		fill(this.#bar, JSON.stringify(all), () => {
			let x = 0;
			const parts = all.filter(span => span.ms > 0).map(span => {
				const width = 100 * span.ms / total, rect = draw("rect", {class: span.name, x: `${x}%`, y: 0, width: `${Math.max(width, 0.4)}%`, height: 10});
				x += width;
				return rect;
			});
			const words = all.map(span => h("span", {class: "span " + span.name}, h("i"), `${span.word} `, h("b", null, duration(span.ms))));
			return [draw("svg", {class: "share", width: "100%", height: 10, "aria-hidden": "true", focusable: "false"}, ...parts), h("figcaption", null, words)];
		});
	}
}

// spans divides the time from acceptance to the reply, or until now: until it was forwarded, until the engine's own answer, and the rest.
function spans(trip, now) {
	const began = at(trip.accepted), end = at(trip.replied) ?? Math.max(now, began);
	const sent = at(trip.forwarded), heard = at(trip.engine_answered);
	if (sent == null) {
		const word = trip.state === "queued" ? "queued for the engine" : trip.joined ? "wait for the other request" : trip.callbacks || trip.state === "waiting" ? "wait for the callback" : "in the gateway";
		return [{name: word.startsWith("wait") ? "wait" : "gateway", word, ms: end - began}];
	}
	const answered = Math.min(heard ?? end, end);
	return [
		{name: "gateway", word: "before it was forwarded", ms: sent - began},
		{name: "engine", word: "the engine's answer", ms: answered - sent},
		{name: "wait", word: "wait for the callback", ms: heard == null ? 0 : end - answered},
	];
}
