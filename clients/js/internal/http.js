import {SyncgateError} from "./error.js";

/** A request may have arrived, and its answer did not. */
export class Lost extends Error {
	constructor(cause) {
		super("The connection was lost", {cause});
		// Only where nothing was connected it is sure that nothing was sent. A browser does not say why a request has failed.
		this.unsent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT)$/.test(cause?.cause?.code);
	}
}

/** Makes any failure of the platform Lost. */
export const lossy = promise => promise.catch(cause => { throw new Lost(cause); });

/** Reads a body piece by piece. Of what is kept, which counts from kept() on, there are at most so many bytes. */
export async function* pieces(response, kept, maxBytes) {
	const reader = response.body?.getReader();
	if (!reader) return;
	try {
		for (;;) {
			const {done, value} = await lossy(reader.read());
			if (done) return;
			if (kept() + value.length > maxBytes) {
				throw new SyncgateError(`The answer is larger than maxBytes, ${maxBytes}`, {code: "too-large", status: response.status});
			}
			yield value;
		}
	} finally {
		reader.cancel().catch(() => {});
	}
}

// The gateway's own problems that are worth another try, and those that tell of the task and not of the request.
const passing = new Set(["too-many-requests", "overloaded", "unavailable", "draining", "engine-busy", "too-slow"]);
const ofTask = new Set(["", "engine-error", "cancelled"]);

/** The id in the URL of a task. */
export const taskIn = text => /(?:^|\/tasks\/)([\w-]+)(?:[/?#]|$)/.exec(text ?? "")?.[1];

// What stands for the type of a problem in Corezoid's dialect, which has none.
const words = {401: "unauthorized", 404: "not-found", 408: "too-slow", 410: "gone", 422: "idempotency-key", 429: "too-many-requests", 502: "bad-gateway", 503: "overloaded"};

/** An answer of the gateway, or of something on the way, read whole. sync: it is one of Corezoid's dialect. makes: it may be about a task that was just made. */
class Answer {
	constructor(response, bytes, parse, sync, makes) {
		Object.assign(this, {status: response.status, headers: response.headers, bytes, parse, text: new TextDecoder().decode(bytes)});
		this.type = (this.header("content-type") ?? "").split(";")[0].trim().toLowerCase();
		this.forwarded = this.header("x-syncgate-forwarded");
		// Every answer of the gateway has a request id. Proxies may echo it: but when the gateway fails to make a task it says what was forwarded, and an engine's error is JSON.
		const named = this.header("x-request-id") !== undefined;
		this.ours = named && (this.status < 500 || this.forwarded !== undefined || !makes && this.type.endsWith("json"));
		this.problem = this.ours && this.type === "application/problem+json" ? this.json() ?? {} : {};
		this.word = sync ? words[this.status] ?? "refused" : /^\/errors\/([a-z-]+)$/.exec(this.problem.type)?.[1] ?? "";
		this.task = taskIn(this.header("location") ?? (response.redirected ? response.url : "/")); // a page sees where it was sent at last
		const monitor = this.header("operation-location") !== undefined || sync && this.task !== undefined && this.forwarded === "maybe";
		/** The task runs on. */
		this.goesOn = monitor && [202, 303, 503, 504].includes(this.status);
		/** It is the kept end of a task: with a key such an answer says where the task is, and names no monitor. */
		this.kept = this.ours && !sync && !monitor && this.header("location") !== undefined;
		/** It tells what became of the task. */
		this.final = this.ours && !this.goesOn && (this.kept || ofTask.has(this.word));
		const busy = [408, 429].includes(this.status) && (makes || !this.ours);
		/** It tells nothing, and another try may. */
		this.passes = !this.goesOn && !this.kept && (busy || (this.ours ? passing.has(this.word) : this.status > 501));
	}

	header(name) {
		return this.headers.get(name) ?? undefined;
	}

	/** The body, or undefined where it is no JSON. */
	json() {
		try {
			return this.parse(this.text);
		} catch {}
	}

	/** What the caller gets: JSON as a value, text as a string, anything else as bytes. */
	data() {
		if (this.bytes.length === 0) return undefined;
		if (/^application\/([\w.-]+\+)?json$/.test(this.type)) return this.json() ?? this.text;
		return /^text\/|[/+]xml$/.test(this.type) ? this.text : this.bytes;
	}

	/** Seconds of Retry-After, which is a number or a date (RFC 9110, 10.2.3). The date is by the clock of who answers. */
	get retryAfter() {
		const value = this.header("retry-after") ?? "", until = Date.parse(value), now = Date.parse(this.header("date") ?? "") || Date.now();
		if (/^\d+$/.test(value)) return Number(value);
		return Number.isNaN(until) ? undefined : Math.max(0, (until - now) / 1000);
	}
}

/** Sends a request, unless stop says not to. It throws Lost where no answer comes, and SyncgateError where that is too large. */
export async function send(settings, {method, path, body, headers, signal, stop, sync}) {
	const way = await settings.authorize(path, body ?? new Uint8Array());
	if (stop?.aborted) throw new Lost({cause: {code: "ECONNREFUSED"}});
	const init = {method, body, signal, headers: {...headers, ...way.headers}, redirect: "manual", cache: "no-store", credentials: "omit"};
	let response = await lossy(settings.fetch(settings.url + way.path, init));
	if (response.type === "opaqueredirect") { // a page cannot read it, only follow it; the repeat has the same key
		response = await lossy(settings.fetch(settings.url + way.path, {...init, redirect: "follow"}));
	}
	let all = new Blob([]);
	for await (const piece of pieces(response, () => all.size, settings.maxBytes)) all = new Blob([all, piece]);
	return new Answer(response, new Uint8Array(await all.arrayBuffer()), settings.parse, sync, method !== "GET");
}
