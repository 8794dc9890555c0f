// Polls tasks of a gateway to their ends with @azure/core-lro as it is published, version 3 and version 2, and prints a line of JSON when a
// task is first seen to run, and when its poller has ended.
//
//	node poll.mjs URL KEY
import * as version3 from "@azure/core-lro";
import * as version2 from "core-lro-2";

const [, , url, key] = process.argv;

// How a poller finds the end: at Operation-Location and then at Location, at Operation-Location alone, at Location alone.
const ways = {both: {}, status: {resourceLocationConfig: "azure-async-operation"}, location: {}};

// send is what a generated client gives its poller: the answer's status, headers and JSON. fetch refuses a relative URL.
async function send(way, method, url, body) {
	const headers = {Authorization: "Bearer " + key, ...(body && {"Content-Type": "application/json", Prefer: "respond-async"})};
	const r = await fetch(url, {method, headers, body});
	const json = await r.json();
	const seen = Object.fromEntries(r.headers);
	if (way === "location") delete seen["operation-location"];
	return {flatResponse: json, rawResponse: {statusCode: r.status, headers: seen, body: json, request: {method, url}}};
}

async function poll(version, library, way, end) {
	const name = [version, way, end].join(" ");
	const say = (what) => console.log(JSON.stringify({name, ...what}));
	let polls = 0, last;
	const operation = {
		requestPath: url, requestMethod: "POST", // version 2 takes them from here
		sendInitialRequest: () => send(way, "POST", url, JSON.stringify({name})),
		sendPollRequest: (path) => (last = path, send(way, "GET", path)),
	};
	// So long an interval that a running answer without Retry-After is noticed.
	const made = library.createHttpPoller(operation, {...ways[way], intervalInMs: 300_000});
	const poller = library === version2 ? await made : made; // a poller of version 3 is itself a promise, of the result
	poller.onProgress((state) => {
		polls++;
		if (polls === 1) say({status: state.status, url: last});
	});
	const ended = {};
	try {
		ended.result = await poller.pollUntilDone();
	} catch (e) {
		ended.error = e.message;
	}
	say({ended: true, polls, url: last, status: (library === version2 ? poller.getOperationState() : poller.operationState).status, ...ended});
}

const all = [];
for (const [version, library] of Object.entries({version3, version2}))
	for (const way of Object.keys(ways))
		for (const end of ["succeeded", "failed", "canceled"]) all.push(poll(version, library, way, end));
await Promise.all(all);
