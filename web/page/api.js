// Asks the admin listener that served the page. Addresses are relative, so that the page works behind a path of a proxy too.

const patience = 10_000; // milliseconds for one answer

// Unanswered is an error of a gateway that gave no answer; Refused has the words of its answer.
export class Unanswered extends Error {}

export class Refused extends Error {
	constructor(status, text) {
		super(text || `it answers with status ${status} and no words`);
		this.status = status;
	}
}

async function ask(path, options, stop) {
	const late = AbortSignal.timeout(patience);
	let answer, text;
	try {
		answer = await fetch(path, {...options, cache: "no-store", signal: stop ? AbortSignal.any([stop, late]) : late});
		text = await answer.text();
	} catch (e) {
		if (stop?.aborted) throw e;
		throw new Unanswered(late.aborted ? "no answer within 10 seconds" : "no connection. Does the program run, and is the way to it open?");
	}
	return {status: answer.status, text, json: (answer.headers.get("Content-Type") ?? "").includes("json")};
}

function parse(answer) {
	try {
		return JSON.parse(answer.text);
	} catch {
		throw new Refused(answer.status, "its answer is no JSON: does this address lead to syncgate?");
	}
}

const refusal = answer => new Refused(answer.status, answer.text.trim().slice(0, 500));

// get gives the JSON at a path. stop is an AbortSignal.
export async function get(path, stop) {
	const answer = await ask(path, {headers: {Accept: "application/json"}}, stop);
	if (answer.status !== 200) throw refusal(answer);
	return parse(answer);
}

// getText is get for a text.
export async function getText(path, stop) {
	const answer = await ask(path, {}, stop);
	if (answer.status !== 200) throw refusal(answer);
	return answer.text;
}

// find gives what the gateway knows under a name of a trip. A gateway that knows none answers with 404, and in JSON too.
export async function find(name, stop) {
	const answer = await ask("api/trips/" + encodeURIComponent(name), {headers: {Accept: "application/json"}}, stop);
	if (answer.status !== 200 && !(answer.status === 404 && answer.json)) throw refusal(answer);
	const found = parse(answer);
	if (!Array.isArray(found.trips)) throw new Refused(answer.status, "its answer has no trips: does this address lead to syncgate?");
	return found;
}

// act changes something, and gives the answer's JSON, or null where there is none. The header proves that a page of this origin asks.
export async function act(method, path, body) {
	const headers = {"X-Syncgate-Action": "1"};
	if (body) headers["Content-Type"] = "application/json";
	const answer = await ask(path, {method, headers, body: body && JSON.stringify(body)});
	if (answer.status < 200 || answer.status > 299) throw refusal(answer);
	return answer.json ? parse(answer) : null;
}

// repeat calls work now, and again and again, each time so many milliseconds after the end of the time before. pause gives them. A hidden page does not ask.
export function repeat(work, pause, stop) {
	let timer;
	const run = async () => {
		if (!document.hidden) await work();
		if (!stop.aborted) timer = setTimeout(run, pause());
	};
	stop.addEventListener("abort", () => clearTimeout(timer));
	run();
}
