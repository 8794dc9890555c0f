// What a program in TypeScript may write, and what its compiler has to refuse.
import {Syncgate, SyncgateError, type Reply} from "syncgate";

interface Greeting {
	hello: string;
}

const gate = new Syncgate({url: new URL("https://sync.example"), key: "k", parse: text => BigInt(text), fetch});
const signing = new Syncgate({url: "https://sync.example", login: 12345, sign: async (time: string, body: Uint8Array) => time + body.length});

export async function use(signal: AbortSignal): Promise<string> {
	try {
		const greeting = await gate.call<Greeting>("/v1/greetings", {hello: "world"}, {wait: 5, signal, idempotencyKey: false, onProgress: p => console.log(p.step), method: "PUT"});
		const reply: Reply<Greeting> = await signing.callCorezoid([{type: "create"}], {idempotencyKey: "k"});
		return greeting.hello + (reply.ops[0]?.data?.hello ?? reply.ops[0]?.description);
	} catch (error) {
		if (!(error instanceof SyncgateError) || !error.maybe || error.task === undefined) throw error;
		const code: string = error.code, stopped: boolean | undefined = await error.cancelled;
		if (stopped || (await gate.cancel(error.task)) || error.retryAfter! > 1) return code;
		return (await gate.result<Greeting>(error.task, {wait: 1})).hello;
	}
}

// @ts-expect-error url is missing
new Syncgate({key: "k"});
// @ts-expect-error wait is a number of seconds
gate.call("/v1/greetings", {}, {wait: "5s"});
// @ts-expect-error a task that was left has its key already
gate.result("/tasks/T1", {idempotencyKey: "k"});
// @ts-expect-error operations of Corezoid report no progress
gate.callCorezoid([], {onProgress() {}});
