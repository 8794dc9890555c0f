import {strict as assert} from "node:assert";
import {test} from "node:test";
import {begun, gate, jobs, kill, newName, report, waiting} from "./world.js";

test("the node is killed, and the call goes on at another", async () => {
	const job = newName(), result = gate.call("/v1/kept", {job});
	await begun(job);
	await waiting(1);
	await kill();
	await waiting(1);
	await report(job, "complete", {job});
	assert.deepEqual(await result, {job});
	assert.equal((await jobs(job)).length, 1);
});
