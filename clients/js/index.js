// Calls routes and Corezoid processes behind a syncgate gateway. A call is one promise: it survives lost connections, and makes one task.
import {authorizer} from "./internal/auth.js";
import {Trip} from "./internal/trip.js";

export {SyncgateError} from "./internal/error.js";

const defaults = {
	hold: 20, // seconds that one request waits: most proxies on the way allow 30 or more
	reattach: 20, // requests that one call repeats
	maxBytes: 16 << 20, // of one answer or event
	parse: JSON.parse,
	fetch: (...args) => globalThis.fetch(...args),
};

export class Syncgate {
	#settings;

	constructor(options) {
		const url = new URL(options.url), given = Object.entries(options).filter(([, value]) => value !== undefined);
		if (!/^https?:$/.test(url.protocol)) throw new TypeError("url must begin with http: or https:");
		this.#settings = {...defaults, ...Object.fromEntries(given), url: url.origin + url.pathname.replace(/\/+$/, ""), authorize: authorizer(options)};
	}

	async call(route, data, options) {
		return this.#begin(options, trip => trip.callRoute(route, data));
	}

	async result(task, options) {
		return this.#begin(options, trip => trip.comeBack(task));
	}

	async cancel(task) {
		return this.#begin({}, trip => trip.cancel(task));
	}

	async callCorezoid(ops, options) {
		return this.#begin(options, trip => trip.callCorezoid(ops));
	}

	#begin(options, work) {
		return new Trip(this.#settings, options ?? {}).run(work);
	}
}
