// What the tests call and steer: a gateway, its engines and the network in between. TestJavaScriptClient of cmd/syncgate starts it.
import {strict as assert} from "node:assert";
import {setTimeout as later} from "node:timers/promises";
import {Syncgate, SyncgateError} from "../index.js";

const base = process.env.SYNCGATE_WORLD;
if (!base) throw new Error("SYNCGATE_WORLD is not set: run these tests with npm test");

export const {url, login, secret} = await (await fetch(base + "/world")).json();
export const gate = new Syncgate({url, key: "the-key"});

async function steer(method, path, body) {
	const answer = await fetch(base + path, {method, body}), text = await answer.text();
	assert.equal(answer.status, 200, `${path}: ${text}`);
	return text;
}

export const [cut, down, up, kill] = ["/cut", "/down", "/up", "/kill"].map(path => () => steer("POST", path));
export const heard = () => steer("GET", "/heard");
export const simulated = async () => Number(await steer("GET", "/simulated"));
export const jobs = async name => JSON.parse(await steer("GET", "/jobs?name=" + encodeURIComponent(name)));

/** Has the engine call back for the task with this name in its data. */
export const report = (name, status, body, code = "") =>
	steer("POST", `/report?${new URLSearchParams({name, status, code})}`, JSON.stringify(body));

export async function eventually(what, ok) {
	for (const end = Date.now() + 20_000; ; await later(10)) {
		if (await ok()) return;
		assert(Date.now() < end, "not in time: " + what);
	}
}

export const waiting = n => eventually(`${n} clients wait`, async () => Number(await steer("GET", "/waiting")) === n);
export const begun = name => eventually("the engine has " + name, async () => (await jobs(name)).length > 0);

let names = 0;
export const newName = () => `job-${process.pid}-${++names}.`;

/** Gives the error with which a call fails. */
export async function failure(call) {
	try {
		await call;
	} catch (error) {
		assert(error instanceof SyncgateError, error);
		return error;
	}
	assert.fail("the call has not failed");
}
