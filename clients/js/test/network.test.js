// What a gateway cannot be made to do, and what stands between it and its clients: a server that answers by a script.
import {strict as assert} from "node:assert";
import {once} from "node:events";
import {createServer} from "node:http";
import {test} from "node:test";
import {Syncgate, SyncgateError} from "../index.js";

/** Starts a server whose answers come in this order, the last one again and again. seen are its requests. */
async function scripted(t, ...answers) {
	const seen = [], server = createServer((req, res) => {
		const chunks = [];
		req.on("data", chunk => chunks.push(chunk)).on("end", () => {
			seen.push({method: req.method, path: req.url, headers: req.headers, body: Buffer.concat(chunks).toString(), at: performance.now()});
			const answer = answers.length > 1 ? answers.shift() : answers[0];
			if (typeof answer === "function") return answer(req, res);
			const [status, headers = {}, body = ""] = answer;
			res.writeHead(status, headers).end(body);
		});
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	t.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return {seen, url: "http://127.0.0.1:" + server.address().port};
}

const ours = {"X-Request-Id": "r1", "Content-Type": "application/json"};
const problem = {"X-Request-Id": "r1", "Content-Type": "application/problem+json"};
const running = {...ours, "Location": "/tasks/T1", "Operation-Location": "/tasks/T1/status", "Preference-Applied": "wait=1"};
const reset = (req, res) => res.socket.resetAndDestroy();
const done = [200, ours, '{"ok":true}'];

async function failure(call) {
	const error = await call.then(() => assert.fail("the call has not failed"), error => error);
	assert(error instanceof SyncgateError, error);
	return error;
}

for (const [name, status, retry, headers, body] of [
	["429 of the gateway", 429, "1", problem, '{"type":"/errors/too-many-requests"}'],
	["503 of the gateway", 503, "1", problem, '{"type":"/errors/overloaded"}'],
	["503 of a proxy", 503, "1", {}, "<p>busy"],
	["429 of a proxy whose clock is wrong", 429, "Tue, 14 Nov 2023 22:13:21 GMT", {Date: "Tue, 14 Nov 2023 22:13:20 GMT"}, ""],
]) {
	test(`Retry-After: ${name}`, async t => {
		const s = await scripted(t, [status, {...headers, "Retry-After": retry}, body], done);
		assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}), {ok: true});
		assert(s.seen[1].at - s.seen[0].at >= 990, `asked again after ${s.seen[1].at - s.seen[0].at} ms`);
		assert.equal(s.seen[0].headers["idempotency-key"], s.seen[1].headers["idempotency-key"]);
		assert.equal(s.seen[0].body, s.seen[1].body);
	});
}

test("a Retry-After beyond the wait", async t => {
	const s = await scripted(t, [429, {...problem, "Retry-After": "60"}, '{"type":"/errors/too-many-requests","detail":"slowly"}']);
	const error = await failure(new Syncgate({url: s.url}).call("/a", {}, {wait: 5}));
	assert.deepEqual([error.code, error.status, error.retryAfter, error.maybe, error.message, s.seen.length], ["too-many-requests", 429, 60, false, "slowly", 1]);
});

test("Retry-After of a task", async t => {
	const {"Preference-Applied": _, ...early} = running, s = await scripted(t, [202, early], [202, {...early, "Retry-After": "2"}, "{}"], done);
	assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}), {ok: true});
	assert(s.seen[2].at - s.seen[1].at >= 1990, `asked again after ${s.seen[2].at - s.seen[1].at} ms`);
	assert.deepEqual(s.seen.map(r => r.method + r.path), ["POST/a", "GET/tasks/T1/result", "GET/tasks/T1/result"]);
});

test("without a key there is one try, unless it is sure that nothing was forwarded", async t => {
	const no = {idempotencyKey: false};
	let s = await scripted(t, [502, {}, "<p>bad gateway"]);
	let error = await failure(new Syncgate({url: s.url}).call("/a", {}, no));
	assert.deepEqual([error.code, error.status, error.maybe, s.seen.length, s.seen[0].headers["idempotency-key"]], ["unexpected", 502, true, 1, undefined]);
	s = await scripted(t, reset);
	error = await failure(new Syncgate({url: s.url}).call("/a", {}, no));
	assert.deepEqual([error.code, error.maybe, s.seen.length], ["network", true, 1]);
	s = await scripted(t, [503, {...problem, "X-Syncgate-Forwarded": "no"}, '{"type":"/errors/draining"}'], done);
	assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}, no), {ok: true});
	s = await scripted(t, [503, {...problem, "X-Syncgate-Forwarded": "maybe"}, '{"type":"/errors/unavailable"}'], done);
	error = await failure(new Syncgate({url: s.url}).call("/a", {}, no));
	assert.deepEqual([error.code, error.maybe, s.seen.length], ["unavailable", true, 1]);
});

test("repeats have a bound, one key, and growing pauses", async t => {
	const s = await scripted(t, reset), error = await failure(new Syncgate({url: s.url, reattach: 4}).call("/a", {n: 1}));
	assert.deepEqual([error.code, error.maybe, s.seen.length], ["network", true, 5]);
	const pauses = s.seen.slice(1).map((r, i) => r.at - s.seen[i].at);
	for (const [i, least] of [75, 187, 375, 750].entries()) assert(pauses[i] >= least - 5, `pauses of ${pauses} ms`);
	assert.equal(new Set(s.seen.map(r => r.headers["idempotency-key"] + r.body)).size, 1);
	assert.match(error.idempotencyKey, /^[0-9a-f]{32}$/);
});

test("each call has a key of its own", async t => {
	const s = await scripted(t, done), gate = new Syncgate({url: s.url});
	await Promise.all([gate.call("/a", {}), gate.call("/a", {}), gate.call("/a", {}, {idempotencyKey: "mine"})]);
	assert.equal(new Set(s.seen.map(r => r.headers["idempotency-key"])).size, 3);
	assert(s.seen.some(r => r.headers["idempotency-key"] === "mine"));
});

test("no repeat when the gateway may have forgotten the key", async t => {
	const s = await scripted(t, reset), now = Date.now;
	t.after(() => { Date.now = now; });
	const asleep = (...args) => fetch(...args).finally(() => { Date.now = () => now() + 31 * 60_000; });
	const error = await failure(new Syncgate({url: s.url, fetch: asleep}).call("/a", {}, {wait: 7200}));
	assert.deepEqual([error.code, error.maybe, s.seen.length], ["network", true, 1]);
});

test("an answer that does not come", async t => {
	const s = await scripted(t, () => {}), began = performance.now(), error = await failure(new Syncgate({url: s.url}).call("/a", {}, {wait: 1}));
	assert.deepEqual([error.code, error.maybe], ["network", true]);
	assert(performance.now() - began < 8000);
});

test("who answers is not the gateway", async t => {
	for (const [status, headers, maybe] of [[200, {}, true], [301, {Location: "https://elsewhere.example/tasks/T1"}, true], [403, {}, false]]) {
		const s = await scripted(t, [status, headers, "<p>log in first"]), error = await failure(new Syncgate({url: s.url}).call("/a", {}));
		assert.deepEqual([error.code, error.status, error.maybe, s.seen.length], ["unexpected", status, maybe, 1]);
	}
});

test("a refusal after a request that was lost", async t => {
	const s = await scripted(t, reset, [401, problem, '{"type":"/errors/unauthorized"}']), error = await failure(new Syncgate({url: s.url}).call("/a", {}));
	assert.deepEqual([error.code, error.maybe], ["unauthorized", true]);
});

test("a proxy that echoes X-Request-Id", async t => {
	let s = await scripted(t, reset, [502, ours, '{"message":"no upstream"}'], [429, {...ours, "Retry-After": "0"}, '{"message":"slowly"}'], done);
	assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}), {ok: true});
	s = await scripted(t, reset, [403, ours, '{"message":"no"}']);
	let error = await failure(new Syncgate({url: s.url}).call("/a", {}));
	assert.deepEqual([error.code, error.maybe], ["engine-error", true]);
	s = await scripted(t, reset, [422, {...ours, Location: "/tasks/T1"}, '{"of":"the task"}']);
	error = await failure(new Syncgate({url: s.url}).call("/a", {}));
	assert.deepEqual([error.code, error.maybe], ["engine-error", false]);
	s = await scripted(t, [202, running], [502, {"X-Request-Id": "r1"}, "<p>no upstream"], done);
	assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}), {ok: true});
});

test("a bad gateway that may have a task", async t => {
	const {"Preference-Applied": _, ...headers} = running, s = await scripted(t, [502, {...headers, ...problem, "X-Syncgate-Forwarded": "maybe"}, '{"type":"/errors/bad-gateway"}']);
	const error = await failure(new Syncgate({url: s.url}).call("/a", {}));
	assert.deepEqual([error.code, error.maybe, error.task, s.seen.length], ["bad-gateway", true, s.url + "/tasks/T1", 1]);
});

test("a node that shuts down, and a task that is gone", async t => {
	const headers = {...running, ...problem, "X-Syncgate-Forwarded": "maybe"};
	let s = await scripted(t, [503, headers, '{"type":"/errors/draining"}'], done);
	assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}), {ok: true});
	assert.equal(s.seen[1].path, "/tasks/T1/result");
	s = await scripted(t, [202, running], [410, problem, '{"type":"/errors/gone"}']);
	const error = await failure(new Syncgate({url: s.url}).call("/a", {}));
	assert.deepEqual([error.code, error.maybe], ["gone", true]);
});

test("credentials go to the gateway alone", async t => {
	const stranger = await scripted(t, done), s = await scripted(t, [202, {...running, Location: stranger.url + "/tasks/T1"}], done);
	assert.deepEqual(await new Syncgate({url: s.url + "/api/", key: "k"}).call("/a?b=1", {}), {ok: true});
	assert.deepEqual([stranger.seen.length, s.seen.map(r => r.path)], [0, ["/api/a?b=1", "/api/tasks/T1/result"]]);
	assert(s.seen.every(r => r.headers.authorization === "Bearer k"));
	await new Syncgate({url: s.url, user: "ann", password: "пароль"}).call("/a", {});
	assert.equal(s.seen.at(-1).headers.authorization, "Basic " + Buffer.from("ann:пароль").toString("base64"));
});

test("the signature of Corezoid's dialect", async t => {
	const s = await scripted(t, done), now = Date.now, body = '{"ops":[{"conv_id":"1234","type":"create","obj":"task","ref":"замовлення-1","data":{"name":"Олена"}}]}';
	t.after(() => { Date.now = now; });
	Date.now = () => 1700000000_000;
	await new Syncgate({url: s.url, login: 12345, secret: "mysecret"}).call("/a?b=1", new TextEncoder().encode(body), {contentType: "application/json"});
	assert.equal(s.seen[0].path, "/a/12345/1700000000/97fd44fb5713eec8745fb4fc91342f334676e218?b=1");
	assert.deepEqual([s.seen[0].body, s.seen[0].headers["content-type"]], [body, "application/json"]);
});

test("results of every kind", async t => {
	for (const [type, body, want] of [
		["application/json; charset=utf-8", "[1]", [1]], ["application/hal+json", "{}", {}], ["text/plain", "Олена", "Олена"], ["application/xml", "<a/>", "<a/>"],
		["image/png", "\x01", Uint8Array.of(1)], ["application/json", "{", "{"], ["application/json", "", undefined],
	]) {
		const s = await scripted(t, [200, {...ours, "Content-Type": type}, body]);
		assert.deepEqual(await new Syncgate({url: s.url}).call("/a", undefined, {method: "PUT", headers: {"X-Own": "1"}}), want);
		assert.deepEqual([s.seen[0].method, s.seen[0].body, s.seen[0].headers["x-own"]], ["PUT", "", "1"]);
	}
	const s = await scripted(t, [200, ours, "12345678901234567890"]);
	assert.equal(await new Syncgate({url: s.url, parse: BigInt}).call("/a"), 12345678901234567890n);
});

test("answers and events have a bound", async t => {
	let s = await scripted(t, [200, ours, "1".repeat(2000)]), gate = new Syncgate({url: s.url, maxBytes: 1000});
	let error = await failure(gate.call("/a", {}));
	assert.deepEqual([error.code, error.status, error.maybe, s.seen.length], ["too-large", 200, true, 1]);
	const stream = (req, res) => {
		res.writeHead(200, {"Content-Type": "text/event-stream"});
		const endless = () => res.write("data: " + "1".repeat(400), endless);
		endless();
	};
	s = await scripted(t, [202, running], stream);
	gate = new Syncgate({url: s.url, maxBytes: 1000});
	error = await failure(gate.call("/a", {}, {onProgress() {}}));
	assert.deepEqual([error.code, error.task], ["too-large", s.url + "/tasks/T1"]);
});

test("events in pieces", async t => {
	const text = Buffer.from(': hello\n\nid: 1\nevent: progress\ndata: {"name":\ndata: "Олена"}\n\nid: end\nevent: result\ndata: {}\n\n');
	const s = await scripted(t, [202, running], async (req, res) => {
		res.writeHead(200, {"Content-Type": "text/event-stream"});
		for (const byte of text) await new Promise(sent => res.write(Uint8Array.of(byte), sent));
		res.end();
	}, done);
	const heard = [];
	assert.deepEqual(await new Syncgate({url: s.url}).call("/a", {}, {onProgress: p => heard.push(p)}), {ok: true});
	assert.deepEqual(heard, [{name: "Олена"}]);
});

test("cancel is tried again", async t => {
	const s = await scripted(t, reset, [503, {}], [202, ours]);
	assert.equal(await new Syncgate({url: s.url}).cancel(s.url + "/tasks/T1?hop=1"), true);
	assert.deepEqual(s.seen.map(r => r.method + r.path), Array(3).fill("DELETE/tasks/T1"));
});

test("what cannot be right", async t => {
	for (const wrong of [{url: "sync.example"}, {url: "ftp://a"}, {url: "http://a", key: "k", user: "u"}, {url: "http://a", login: 1}, {url: "http://a", login: 1, secret: "s", sign() {}}]) {
		assert.throws(() => new Syncgate(wrong), TypeError);
	}
	const gate = new Syncgate({url: "http://127.0.0.1:9"});
	for (const call of [() => gate.call("v1"), () => gate.call("/a", {}, {wait: 0}), () => gate.call("/a", {}, {idempotencyKey: "ключ"}), () => gate.result("https://x.example/"), () => gate.cancel("")]) {
		await assert.rejects(call(), TypeError);
	}
	globalThis.document = {};
	t.after(() => { delete globalThis.document; });
	assert.throws(() => new Syncgate({url: "http://a", login: 1, secret: "s"}), /visitors can read/);
});
