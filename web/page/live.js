// Hears the state of the node each second, and knows since when it has not.

import {get} from "./api.js";

const silence = 4000; // milliseconds without an event after which the page is not live: there is one each second
const firstPause = 1000, longestPause = 8000; // milliseconds between attempts where the browser makes none itself

// Live sends the events "status", "summary" and "change" (of live or problem).
export class Live extends EventTarget {
	status = null; // as /api/status, of the last event; null: none yet
	summary = null; // as /api/summary
	live = false;
	since = null; // when the last event came: a time of this browser; null: none has come
	problem = ""; // why it is not live, in words
	#offset = 0; // milliseconds that the node's clock is ahead
	#source;
	#pause = firstPause;
	#timer;

	start() {
		this.#open();
		setInterval(() => {
			if (this.live && !document.hidden && Date.now() - this.since > silence) this.#lost();
		}, 500);
		// A browser has six connections to an origin for all tabs together, and each stream of events keeps one. So a hidden tab has none.
		document.addEventListener("visibilitychange", () => document.hidden ? this.#close() : this.#resume());
	}

	#close() {
		clearTimeout(this.#timer);
		this.#source?.close();
	}

	#resume() {
		if (this.live) this.since = Date.now(); // it has the time of any other page for its first event
		this.#open();
	}

	// now is the time of the node's clock, in milliseconds.
	now() {
		return Date.now() + this.#offset;
	}

	#open() {
		this.#close();
		const source = this.#source = new EventSource("api/live");
		source.addEventListener("status", event => this.#heard("status", event.data));
		source.addEventListener("summary", event => this.#heard("summary", event.data));
		source.onerror = () => this.#lost();
	}

	#heard(name, data) {
		let value;
		try {
			value = JSON.parse(data);
		} catch {
			return; // no event counts that cannot be read: the page is then not live soon
		}
		this[name] = value;
		this.since = Date.now();
		this.#pause = firstPause;
		const sent = Date.parse(value.now);
		if (!Number.isNaN(sent)) this.#offset = sent - this.since;
		if (!this.live) {
			this.live = true;
			this.problem = "";
			this.dispatchEvent(new Event("change"));
		}
		this.dispatchEvent(new Event(name));
	}

	// #lost asks for the reason, which an EventSource does not know, and tries again.
	#lost() {
		const was = this.live;
		this.live = false;
		this.#close();
		this.#timer = setTimeout(() => this.#open(), this.#pause);
		this.#pause = Math.min(2 * this.#pause, longestPause);
		if (was) this.dispatchEvent(new Event("change"));
		this.#explain();
	}

	async #explain() {
		let problem;
		try {
			await get("api/status");
			problem = "it answers, but sends no events: a proxy on the way may hold them back, or 16 pages listen already";
		} catch (e) {
			problem = e.message;
		}
		if (!this.live && problem !== this.problem) {
			this.problem = problem;
			this.dispatchEvent(new Event("change"));
		}
	}
}
