import {strict as assert} from "node:assert";
import {test} from "node:test";
import {setTimeout as later} from "node:timers/promises";
import {Syncgate} from "../index.js";
import {begun, cut, down, eventually, failure, gate, heard, jobs, login, newName, report, secret, simulated, up, url, waiting} from "./world.js";

const requests = async text => (await heard()).split(text).length - 1;

test("a result", async () => {
	const job = newName(), result = gate.call("/v1/kept", {job});
	await waiting(1);
	await report(job, "complete", {name: "Олена"});
	assert.deepEqual(await result, {name: "Олена"});
});

test("a result with a status of its own", async () => {
	for (const [code, failed] of [["201", false], ["422", true]]) {
		const job = newName(), call = gate.call("/v1/kept", {job}), result = failed ? failure(call) : call;
		await report(job, "complete", {job}, code);
		if (!failed) assert.deepEqual(await result, {job});
		else {
			const error = await result;
			assert.deepEqual([error.status, error.code, error.maybe, error.data], [422, "engine-error", false, {job}]);
		}
	}
});

test("the engine's error", async () => {
	const job = newName(), result = failure(gate.call("/v1/kept", {job}));
	await report(job, "error", {code: "no-funds"});
	const error = await result;
	assert.deepEqual([error.status, error.code, error.maybe, error.data], [502, "engine-error", false, {code: "no-funds"}]);
	assert.match(error.task, /\/tasks\/[\w-]+$/);
});

test("a refusal of the gateway", async () => {
	const bad = new Syncgate({url, key: "wrong"});
	let error = await failure(bad.call("/v1/kept", {}));
	assert.deepEqual([error.status, error.code, error.type, error.maybe], [401, "unauthorized", "/errors/unauthorized", false]);
	assert.match(error.requestId, /./);
	error = await failure(gate.call("/v1/nothing", {}));
	assert.deepEqual([error.status, error.code, error.maybe, error.task], [404, "not-found", false, undefined]);
	const job = newName(), options = {idempotencyKey: job, wait: 1};
	await failure(gate.call("/v1/brief", {job}, options));
	error = await failure(gate.call("/v1/brief", {job, other: 1}, options));
	assert.deepEqual([error.status, error.code], [422, "idempotency-key"]);
});

test("a time-out, and the result later", async () => {
	const job = newName(), error = await failure(gate.call("/v1/kept", {job}, {wait: 1}));
	assert.deepEqual([error.code, error.status, error.maybe], ["timeout", 0, true]);
	const result = gate.result(error.task, {wait: 20});
	await report(job, "complete", {later: true});
	assert.deepEqual(await result, {later: true});
	assert.deepEqual(await gate.call("/v1/kept", {job}, {idempotencyKey: error.idempotencyKey}), {later: true});
	assert.equal((await jobs(job)).length, 1);
});

for (const [name, route] of [["a wait that is capped", "/v1/brief"], ["a route that redirects", "/v1/sent"], ["a route that ends with 504", "/v1/strict"], ["view hal", "/v1/hal"]]) {
	test(`202 and on: ${name}`, async () => {
		const job = newName(), result = new Syncgate({url, key: "the-key", hold: 1}).call(route, {job}, {wait: 20});
		await begun(job);
		await eventually("it asks twice for the task", async () => await requests("/result HTTP/1.1") > 1);
		await report(job, "complete", {job});
		assert.deepEqual(await result, {job});
		assert.equal((await jobs(job)).length, 1);
	});
}

test("a redirect, where a proxy drops Prefer", async () => {
	const job = newName(), bare = (input, init) => fetch(input, {...init, headers: {...init.headers, Prefer: "redirect, wait=1"}});
	const result = new Syncgate({url, key: "the-key", fetch: bare}).call("/v1/kept", {job}, {wait: 20});
	await begun(job);
	await eventually("it was sent on", async () => (await heard()).includes("/result HTTP/1.1"));
	await report(job, "complete", {job});
	assert.deepEqual(await result, {job});
});

test("a route with a signature", async () => {
	for (const own of [{secret}, {sign: async (time, body) => {
		const {createHash} = await import("node:crypto");
		return createHash("sha1").update(time + secret).update(body).update(secret).digest("hex");
	}}]) {
		const signed = new Syncgate({url, login, ...own, hold: 1}), job = newName(), result = signed.call("/v1/signed", {job, name: "Олена"});
		await begun(job);
		await eventually("the question is signed", async () => /GET \/tasks\/[\w-]+\/result\/12345\//.test(await heard()));
		await report(job, "complete", {job});
		assert.deepEqual(await result, {job});
	}
});

for (const [name, early] of [["held", false], ["of a task", true]]) {
	test(`a connection that is cut while the request is ${name}`, async () => {
		const job = newName(), options = early ? {signal: new AbortController().signal} : {};
		const before = (await heard()).length, result = gate.call("/v1/kept", {job}, options);
		await begun(job);
		await waiting(1);
		await down();
		await waiting(0);
		await up();
		await waiting(1);
		await cut();
		await waiting(0);
		await waiting(1);
		await report(job, "complete", {job});
		assert.deepEqual(await result, {job});
		assert.equal((await jobs(job)).length, 1);
		const sent = [...(await heard()).slice(before).matchAll(/Idempotency-Key: (\S+)/gi)].map(m => m[1]);
		assert.equal(sent.length, early ? 1 : 3);
		assert.equal(new Set(sent).size, 1);
	});
}

test("a network that does not come back", async () => {
	const job = newName(), result = failure(new Syncgate({url, key: "the-key", reattach: 3}).call("/v1/kept", {job}, {wait: 20}));
	await waiting(1);
	await down();
	const error = await result;
	await up();
	assert.deepEqual([error.code, error.status, error.maybe], ["network", 0, true]);
	const again = gate.call("/v1/kept", {job}, {idempotencyKey: error.idempotencyKey});
	await report(job, "complete", {job});
	assert.deepEqual(await again, {job});
	assert.equal((await jobs(job)).length, 1);
	await down();
	const unsent = await failure(new Syncgate({url, key: "the-key", reattach: 1}).call("/v1/kept", {job: "unsent"}));
	await up();
	assert.deepEqual([unsent.code, unsent.maybe], ["network", false]);
});

test("no key, no repeat", async () => {
	const job = newName(), result = failure(gate.call("/v1/kept", {job}, {idempotencyKey: false}));
	await waiting(1);
	await cut();
	const error = await result;
	assert.deepEqual([error.code, error.maybe, error.idempotencyKey], ["network", true, undefined]);
	assert.equal((await jobs(job)).length, 1);
});

test("progress", async () => {
	const job = newName(), seen = [], result = gate.call("/v1/kept", {job}, {onProgress: p => seen.push(p)});
	await begun(job);
	await eventually("it hears events", async () => (await heard()).includes("/events HTTP/1.1"));
	await report(job, "progress", {percent: 40});
	await eventually("it has heard 40", () => seen.length === 1);
	await cut();
	await report(job, "progress", {percent: 80});
	await eventually("it has heard 80", () => seen.length === 2);
	await report(job, "complete", {job}, "201");
	assert.deepEqual(await result, {job});
	assert.deepEqual(seen, [{percent: 40}, {percent: 80}]);
	assert.match(await heard(), /Last-Event-ID: 1\r\n/i);
	assert.equal((await jobs(job)).length, 1);
});

test("progress over a wait that is longer than a stream", async () => {
	const job = newName(), seen = [], result = failure(gate.call("/v1/brief", {job}, {onProgress: p => seen.push(p), wait: 20}));
	await begun(job);
	await report(job, "progress", {percent: 40});
	await eventually("it has heard 40", () => seen.length === 1);
	await report(job, "error", {code: "no-funds"});
	assert.equal((await result).code, "engine-error");
	assert.deepEqual(seen, [{percent: 40}]);
});

test("progress where nothing streams", async () => {
	const none = (input, init) => String(input).endsWith("/events") ? Promise.resolve(new Response("no", {status: 404})) : fetch(input, init);
	const job = newName(), seen = [], result = new Syncgate({url, key: "the-key", fetch: none}).call("/v1/kept", {job}, {onProgress: p => seen.push(p), wait: 20});
	await begun(job);
	for (const percent of [40, 80]) {
		await report(job, "progress", {percent});
		await eventually("it has heard " + percent, () => seen.at(-1)?.percent === percent);
	}
	await report(job, "complete", {job});
	assert.deepEqual(await result, {job});
	assert.deepEqual(seen, [{percent: 40}, {percent: 80}]);
});

test("a caller whose onProgress throws", async () => {
	const job = newName(), result = failure(gate.call("/v1/kept", {job}, {onProgress: () => { throw new Error("of the caller"); }}));
	await report(job, "progress", {percent: 40});
	const error = await result;
	assert.deepEqual([error.code, error.maybe, error.cause.message], ["on-progress", true, "of the caller"]);
	const again = gate.result(error.task);
	await report(job, "complete", {job});
	assert.deepEqual(await again, {job});
});

test("abort", async () => {
	const job = newName(), stop = new AbortController(), result = failure(gate.call("/v1/kept", {job}, {signal: stop.signal}));
	await waiting(1);
	stop.abort();
	const error = await result;
	assert.deepEqual([error.name, error.code, error.maybe], ["AbortError", "aborted", true]);
	assert.equal(await error.cancelled, true);
	await eventually("the engine was asked to cancel", async () => (await jobs(job))[0].stopped);
	const after = await failure(gate.result(error.task));
	assert.deepEqual([after.status, after.code, after.maybe], [409, "cancelled", false]);
	assert.equal(await gate.cancel(error.task), false);
});

test("abort before, and at once", async () => {
	const job = newName(), stop = new AbortController(), before = await requests("POST ");
	let result = gate.call("/v1/kept", {job}, {signal: AbortSignal.abort()});
	assert.equal((await failure(result)).maybe, false);
	result = gate.call("/v1/kept", {job}, {signal: stop.signal});
	stop.abort();
	const error = await failure(result);
	assert.equal(await error.cancelled, false);
	assert.equal(await requests("POST "), before);
});

test("abort while the task is being made", async () => {
	const job = newName(), stop = new AbortController(), slow = async (input, init) => {
		const answer = await fetch(input, init);
		if (init.method === "POST") stop.abort();
		return answer;
	};
	const error = await failure(new Syncgate({url, key: "the-key", fetch: slow}).call("/v1/kept", {job}, {signal: stop.signal}));
	assert.equal(error.maybe, true);
	assert.equal(await error.cancelled, true);
	await eventually("the engine was asked to cancel", async () => (await jobs(job))[0]?.stopped);
});

test("a caller that goes too fast", async () => {
	const all = ["a", "b", "c"].map(() => newName()), results = all.map(job => gate.call("/v1/rated", {job}, {wait: 30})), began = Date.now();
	await Promise.all(all.map(job => report(job, "complete", {job})));
	assert.deepEqual(await Promise.all(results), all.map(job => ({job})));
	assert(Date.now() - began > 1000, "nobody was held back");
	for (const job of all) assert.equal((await jobs(job)).length, 1);
});

test("Corezoid", async () => {
	const corezoid = new Syncgate({url, login, secret}), before = await simulated(), op = data => ({type: "create", obj: "task", conv_id: 1, data});
	assert.deepEqual(await corezoid.callCorezoid(op({name: "Олена"})), {request_proc: "ok", ops: [{proc: "ok", data: {name: "Олена"}}]});
	const brief = new Syncgate({url, login, secret, hold: 1});
	assert.deepEqual((await brief.callCorezoid([op({n: 1}), op({n: 2, __sim: {delay_ms: 2500}})])).ops.map(o => o.data), [{n: 1}, {n: 2}]);
	let error = await failure(brief.callCorezoid(op({__sim: {callback: "never"}}), {wait: 2}));
	assert.deepEqual([error.code, error.maybe, error.data.ops.length], ["timeout", true, 1]);
	assert.equal(await simulated(), before + 4);
	error = await failure(new Syncgate({url, login, secret: "wrong"}).callCorezoid(op({})));
	assert.deepEqual([error.status, error.code, error.maybe], [401, "unauthorized", false]);
	assert.match(error.message, /Incorrect signature/);
	const held = corezoid.callCorezoid(op({n: 3, __sim: {delay_ms: 1500}}));
	await waiting(1);
	await cut();
	assert.deepEqual((await held).ops[0].data, {n: 3});
	assert.equal(await simulated(), before + 5);
});

test("Corezoid, aborted", async () => {
	const corezoid = new Syncgate({url, login, secret, hold: 1}), op = {type: "create", obj: "task", conv_id: 1, data: {n: 4, __sim: {delay_ms: 2500}}};
	for (const wait of [0, 1200]) { // while it is made, and while its task is asked for
		const stop = new AbortController(), options = {signal: stop.signal, idempotencyKey: newName()}, began = performance.now();
		const call = failure(corezoid.callCorezoid(op, options));
		await waiting(1);
		await later(wait);
		stop.abort();
		const error = await call;
		assert.deepEqual([error.code, error.maybe, await error.cancelled], ["aborted", true, false]);
		assert(performance.now() - began < 2400);
		delete options.signal;
		assert.deepEqual((await corezoid.callCorezoid(op, options)).ops[0].data, {n: 4});
	}
});
