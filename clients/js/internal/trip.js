import {SyncgateError} from "./error.js";
import {events, openEvents} from "./events.js";
import {Lost, send, taskIn} from "./http.js";

const SECOND = 1000;
const SLACK = 10 * SECOND; // an answer later than that behind its wait does not come any more
const QUIET = 45 * SECOND; // of a stream, whose heartbeat comes every 15 s
const CANCEL_FOR = 5 * SECOND;
// The gateway knows a key for results.retention, 1 h by default. A repeat after that would make a second task.
const REPEAT_FOR = 30 * 60 * SECOND;
const LONGEST = 2 ** 31 - 1; // milliseconds of a timer
const PAUSES = [0.1, 0.25, 0.5, 1, 2, 4, 8].map(s => s * SECOND);
const LATE = "Timeout for create task"; // what Corezoid's dialect says of an operation without a result

const utf8 = new TextEncoder();

const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, "0")).join("");

/** One call: what it wants, what it knows of its task, and what it may still try. */
export class Trip {
	constructor(settings, {wait = 120, signal, idempotencyKey = randomKey(), onProgress, method = "POST", headers, contentType}) {
		if (!(wait > 0)) throw new TypeError("wait must be a number of seconds above 0");
		if (idempotencyKey !== false && !/^[!-~]{1,255}$/.test(idempotencyKey)) {
			throw new TypeError("idempotencyKey must be 1 to 255 visible ASCII characters, or false");
		}
		Object.assign(this, {settings, signal, onProgress, method, headers, contentType, key: idempotencyKey || undefined, wait: wait * SECOND});
		this.began = {wall: Date.now(), monotonic: performance.now()};
		this.left = settings.reattach;
		this.failures = 0; // in a row
		this.task = undefined; // its id
		this.maybe = false; // a task may exist, and its end is not known
		this.asking = new AbortController(); // of everything but the request that makes the task
		this.making = undefined; // that request, while it is under way
	}

	/** Milliseconds since the beginning. A machine that slept counts, and a clock that was set back does not. */
	get elapsed() {
		return Math.max(Date.now() - this.began.wall, performance.now() - this.began.monotonic);
	}

	get remaining() {
		return this.wait - this.elapsed;
	}

	get over() {
		return this.remaining <= 0 || this.asking.signal.aborted;
	}

	/** How many seconds the next request waits. */
	get hold() {
		return Math.max(1, Math.ceil(Math.min(this.settings.hold, this.remaining / SECOND)));
	}

	/** Ends a request whose answer does not come any more, though it was to wait for so many seconds. */
	late(wait) {
		return AbortSignal.timeout(Math.floor(Math.min(wait * SECOND + SLACK, Math.max(this.remaining, 0) + 2 * SECOND, LONGEST)));
	}

	/** Does the work. When the caller aborts, the promise ends at once, and the task is cancelled. */
	async run(work) {
		const {signal, asking} = this;
		if (signal?.aborted) throw this.abortedBy(signal);
		let stop;
		const aborted = new Promise((_, reject) => {
			stop = () => {
				asking.abort();
				reject(Object.assign(this.abortedBy(signal), {cancelled: this.cancelWhenMade()}));
			};
		});
		signal?.addEventListener("abort", stop);
		return Promise.race([work(this), aborted]).finally(() => signal?.removeEventListener("abort", stop));
	}

	/** Has the name that the platform's own calls give, AbortError or TimeoutError. */
	abortedBy({reason}) {
		return Object.assign(this.error("The call was aborted", {code: "aborted", cause: reason}), reason?.name && {name: reason.name});
	}

	error(message, facts) {
		const task = this.task && `${this.settings.url}/tasks/${this.task}`;
		return new SyncgateError(message, {maybe: this.maybe, task, idempotencyKey: this.key, ...facts});
	}

	/** Cancels the task when the request that makes it is answered. One that was lost is not repeated for that: it might make the task. */
	async cancelWhenMade() {
		await this.making?.catch(() => {});
		return !this.sync && this.task !== undefined && this.maybe && this.cancel(this.task).catch(() => false);
	}

	/** Gives true where the task is cancelled, and false where it was over or cannot be reached. */
	async cancel(task) {
		const path = this.pathOf(task), signal = AbortSignal.timeout(CANCEL_FOR);
		for (const after of PAUSES) {
			const answer = await send(this.settings, {method: "DELETE", path, signal}).catch(() => undefined);
			if (signal.aborted || answer && !answer.passes) return answer?.status === 202;
			await pause(after);
		}
		return false;
	}

	pathOf(task) {
		const id = taskIn(String(task));
		if (!id) throw new TypeError("task must be the URL of a task");
		return "/tasks/" + id;
	}

	async callRoute(route, data) {
		if (!String(route).startsWith("/")) throw new TypeError("route must be a path, which begins with /");
		const bytes = data instanceof Uint8Array, body = bytes || data === undefined ? data : utf8.encode(JSON.stringify(data));
		const type = body && {"Content-Type": this.contentType ?? (bytes ? "application/octet-stream" : "application/json")};
		// A caller that may abort needs to know the task early, and one that hears progress too. Redirects help nobody here.
		const early = this.signal || this.onProgress;
		const answer = await this.make(() => ({method: this.method, path: route, body, headers: {...type, Prefer: "respond-async" + (early ? "" : `, wait=${this.hold}`)}}));
		return answer.goesOn ? this.follow() : this.finish(answer);
	}

	/** Sends the request that makes the task, again and again with the same key, until there is an answer to it. */
	make(request) {
		return this.until(true, async () => {
			const made = request(), before = this.maybe, {asking} = this;
			const signal = this.sync ? AbortSignal.any([this.late(this.hold), asking.signal]) : this.late(this.hold);
			const headers = {...this.headers, ...made.headers, ...(this.key && {"Idempotency-Key": this.key})};
			this.maybe = true;
			try {
				this.making = send(this.settings, {...made, headers, signal, stop: asking.signal});
				const answer = await this.making;
				this.task = answer.task ?? this.task;
				const unclear = answer.ours ? answer.forwarded === "maybe" : answer.status < 400 || answer.status > 499;
				this.maybe = answer.goesOn || before && !answer.kept || unclear && !answer.final;
				return answer;
			} catch (why) {
				this.maybe = before || !why.unsent;
				throw why;
			} finally {
				this.making = undefined;
			}
		});
	}

	/** Asks something of a task, which makes none, until there is an answer. */
	ask(path, wait, sync) {
		return this.until(false, () => {
			const signal = AbortSignal.any([this.late(wait), this.asking.signal]);
			return send(this.settings, {method: "GET", path, headers: wait ? {Prefer: `wait=${wait}`} : {}, signal, sync});
		});
	}

	/** Repeats a request until its answer is not one that passes. */
	async until(makes, request) {
		for (;;) {
			const answer = await request().catch(cause => this.lost(cause));
			if (!(answer instanceof SyncgateError) && !answer.passes) {
				this.failures = 0;
				return answer;
			}
			await this.again(answer instanceof SyncgateError ? answer : this.failure(answer), makes);
		}
	}

	/** The error that stands for a lost connection. What is none ends the call. */
	lost(cause) {
		if (cause instanceof Lost) return this.error(cause.message, {code: "network", cause: cause.cause});
		if (cause instanceof SyncgateError) throw this.error(cause.message, {code: cause.code, status: cause.status, cause: cause.cause});
		throw cause;
	}

	/** Waits before a repeat, or throws why there is none. */
	async again(why, makes) {
		const own = PAUSES[Math.min(this.failures++, PAUSES.length - 1)] * (0.75 + Math.random() / 2);
		const next = Math.max((why.retryAfter ?? 0) * SECOND, Math.min(own, this.remaining / 2));
		const mayDouble = makes && this.maybe && (!this.key || this.elapsed + next > REPEAT_FOR);
		if (this.over || this.left-- <= 0 || mayDouble || this.remaining - next < 50) throw why;
		await pause(next, this.asking.signal);
	}

	/** The error that an answer is. */
	failure(answer) {
		const {status, problem, word, final, retryAfter} = answer;
		const said = problem.detail ?? problem.title ?? answer.json()?.ops?.[0]?.description;
		return this.error(said ?? `The answer has status ${status}`, {
			code: word || (final ? "engine-error" : "unexpected"), status, type: problem.type ?? "", data: answer.data(), retryAfter, requestId: answer.header("x-request-id"),
		});
	}

	finish(answer) {
		if (answer.final && answer.status < 300) return answer.data();
		throw this.failure(answer);
	}

	comeBack(task) {
		this.task = taskIn(this.pathOf(task));
		Object.assign(this, {maybe: true, key: undefined});
		return this.follow();
	}

	/** Waits for the result of the task, for as long as the caller does. */
	async follow() {
		let streams = this.onProgress !== undefined, heard;
		while (!this.over) {
			if (streams) streams = await this.listen();
			const began = this.elapsed, answer = await this.ask(this.pathOf(this.task) + "/result", this.onProgress ? 0 : this.hold);
			this.maybe = !answer.final;
			if (!answer.goesOn) return this.finish(answer);
			const {text} = answer, progress = answer.json()?.progress;
			if (this.onProgress && !streams && progress !== undefined && text !== heard) this.tell(progress);
			heard = text;
			await this.space(answer, began);
		}
		throw this.error("The wait has ended before the result came", {code: "timeout"});
	}

	/** Keeps the distance between two questions that the gateway wants. One that was held has kept it. */
	async space(answer, began) {
		const held = answer.header("preference-applied")?.includes("wait="), least = held ? 1 : Math.max(answer.retryAfter ?? 1, 1);
		await pause(Math.min(began + least * SECOND - this.elapsed, this.remaining), this.asking.signal);
	}

	/** Hears the task's events until it is over. False: there is no stream here, and the caller polls. */
	async listen() {
		for (let last; !this.over;) {
			const quiet = new AbortController(), end = () => quiet.abort(), late = setTimeout(end, Math.min(this.remaining, LONGEST));
			let timer = setTimeout(end, QUIET), touched = false, name;
			const touch = () => {
				clearTimeout(timer);
				[timer, touched] = [setTimeout(end, QUIET), true];
			};
			try {
				const response = await openEvents(this.settings, this.pathOf(this.task) + "/events", last, AbortSignal.any([quiet.signal, this.asking.signal]));
				if (!response) return false;
				for await (const event of events(response, this.settings.maxBytes, touch)) {
					({name} = event);
					last = event.id ?? last;
					if (name === "progress") this.tell(this.settings.parse(event.data));
					if (last === "end") return true;
				}
			} catch (cause) {
				this.lost(cause);
			} finally {
				clearTimeout(timer);
				clearTimeout(late);
			}
			if (!touched && quiet.signal.aborted) return false; // something on the way keeps events back
			if (name === "timeout") await pause(PAUSES[0]); // the stream's time was up
			else await this.again(this.error("The stream of events was lost", {code: "network"}), false);
		}
		return true;
	}

	/** Hands progress on. What the caller throws ends the call, and not the task. */
	tell(progress) {
		try {
			this.onProgress(progress);
		} catch (cause) {
			throw this.error("onProgress has thrown", {code: "on-progress", cause});
		}
	}

	async callCorezoid(ops) {
		this.sync = true; // what a process of Corezoid has begun nobody can cancel
		const json = {"Content-Type": "application/json"}, body = () => utf8.encode(JSON.stringify({timeout: this.hold, ops: [ops].flat()}));
		let answer = await this.make(() => ({method: "POST", path: "/api/2/json", headers: json, body: body(), sync: true}));
		for (;;) {
			const reply = answer.json(), began = this.elapsed, late = op => op.proc === "error" && op.description === LATE;
			const open = answer.status === 202 || answer.goesOn || answer.status === 200 && reply?.ops?.some?.(late);
			if (!open && answer.status === 200 && reply?.request_proc === "ok") return reply;
			if (!open) throw this.failure(answer);
			this.maybe = true;
			if (!this.task || this.over) throw this.error("The wait has ended before every result came", {code: "timeout", data: reply});
			answer = await this.ask("/api/1" + this.pathOf(this.task), this.hold, true);
			if (answer.status === 202) await this.space(answer, began);
		}
	}
}

/** Waits, but not beyond the signal. */
function pause(ms, signal) {
	return new Promise(resolve => {
		const done = () => {
			clearTimeout(timer);
			signal?.removeEventListener("abort", done);
			resolve();
		};
		const timer = setTimeout(done, Math.min(Math.max(ms, 0), LONGEST));
		if (signal?.aborted) done();
		signal?.addEventListener("abort", done);
	});
}
