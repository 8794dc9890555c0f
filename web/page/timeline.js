// One trip as a timeline: what has happened, in order, and what is still to come.

import {arrange, draw, fill, h, setText, sign} from "./dom.js";
import {clock, count, duration, plural, seconds} from "./format.js";
import {outcome} from "./words.js";

const at = time => time ? Date.parse(time) : null;

// steps gives what happened to a trip: key, time in milliseconds (null: it has not happened), tone, title and detail. now is the time of the node.
export function steps(trip, now) {
	const over = trip.state === "over";
	const done = [accepted(trip), forwarded(trip), answered(trip), ...reports(trip), ...callbacks(trip), over ? replied(trip) : null, ...late(trip), kept(trip, now)].filter(step => step?.at != null);
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

// callbacks gives a step for each operation that is shown and whose callback came in time. Of a trip with more operations the first and the last have one too.
function callbacks(trip) {
	if (!trip.callbacks) return [];
	const step = (key, time, title, detail) => ({key, at: at(time), tone: "good", title, detail});
	if (trip.op_count === 1) return [step("last", trip.last_callback, "Callback", "the result")];
	const steps = (trip.ops ?? []).filter(op => op.callback).map(op => step(`op ${op.op}`, op.callback, `Operation ${op.op}: callback`, op.ref ? `ref ${op.ref}` : ""));
	if (steps.length >= trip.callbacks) return steps;
	const of = n => `${n} of ${trip.op_count}`;
	if (trip.callbacks > 1 && !steps.some(one => one.at === at(trip.first_callback))) steps.push(step("first", trip.first_callback, "First callback", of(1)));
	return [...steps, step("last", trip.last_callback, trip.callbacks > 1 ? "Last callback" : "Callback", of(trip.callbacks))];
}

// reports gives steps for the first and the last report of progress.
function reports(trip) {
	if (!trip.reports) return [];
	const step = (key, time, detail) => ({key, at: at(time), tone: "dot", title: "Progress", detail});
	if (trip.reports === 1) return [step("report", trip.first_report, "the engine has reported once")];
	return [step("report", trip.first_report, "the engine's first report"), step("last report", trip.last_report, `the last of ${count(trip.reports)} reports`)];
}

function replied(trip) {
	const {tone, word, meaning} = outcome(trip.outcome);
	const status = trip.status ? `status ${trip.status}` : "";
	const detail = [status, trip.reason && `reason ${trip.reason}`, meaning, trip.hung_up && "the client had left, and did not get it"].filter(Boolean).join(", ");
	if (trip.outcome === "timeout") return {key: "replied", at: at(trip.replied), tone, title: "Time-out", detail};
	if (trip.outcome === "hung_up") return {key: "replied", at: at(trip.replied), tone, title: "The client left", detail};
	return {key: "replied", at: at(trip.replied), tone, title: `Replied: ${word}`, detail};
}

const mostLate = 20; // callbacks that came late and have a step

function late(trip) {
	const word = trip.outcome === "handed_over" ? "callback" : "late callback"; // it is not late for a client that did not wait for it
	const all = trip.late_callbacks ?? [];
	const steps = all.slice(0, mostLate).map((one, i) => ({
		key: `late ${i}`, at: at(one.at), tone: one.kept ? "good" : "warn", title: trip.op_count > 1 ? `Operation ${one.op}: ${word}` : capital(word),
		detail: one.kept ? "its result is kept" : "its result is not kept",
	}));
	const more = all.length - steps.length;
	return more > 0 ? [...steps, {key: "more late", at: at(all.at(-1).at), tone: "dot", title: `And ${plural(more, `more ${word}`)}`, detail: "this is the last one's time"}] : steps;
}

const capital = word => word[0].toUpperCase() + word.slice(1);

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
	const shown = trip.ops ?? [], open = trip.op_count > shown.length ? trip.op_count - trip.callbacks : shown.filter(op => op.state === "open").length;
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
	const began = at(trip.accepted), sent = at(trip.forwarded), heard = at(trip.engine_answered);
	const end = Math.max(at(trip.replied) ?? now, began, sent ?? began); // now is what the page has heard last: it may be older than the trip
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
