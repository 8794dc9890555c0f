// A stand-in for n8n. It does what n8n documents for the few nodes that the workflow has: Webhook, Edit Fields (Set) and HTTP Request.
// A node, a parameter or an option that it does not know is an error.
const http = require("http"), {setTimeout: sleep} = require("timers/promises");
const workflow = JSON.parse(require("fs").readFileSync(process.argv[2], "utf8"));
const known = {
	"n8n-nodes-base.webhook": ["httpMethod", "path", "authentication", "responseMode", "options"],
	"n8n-nodes-base.set": ["assignments", "options"],
	"n8n-nodes-base.httpRequest": ["method", "url", "sendBody", "specifyBody", "jsonBody", "options"],
};
for (const node of workflow.nodes)
	for (const parameter of Object.keys(node.parameters))
		if (!known[node.type]?.includes(parameter)) throw new Error(`${node.type} has ${parameter}`);

// value gives a parameter. One that begins with = has expressions in {{ }}, and one that is an expression alone keeps its type.
function value(text, item, seen) {
	if (!text.startsWith("=")) return text;
	const evaluate = js => new Function("$json", "$", `return (${js})`)(item, name => ({item: {json: seen[name]}}));
	const alone = /^=\{\{((?:(?!\}\}).)*)\}\}$/s.exec(text);
	return alone ? evaluate(alone[1]) : text.slice(1).replace(/\{\{(.*?)\}\}/gs, (_, js) => evaluate(js));
}

const types = {
	"n8n-nodes-base.webhook": (node, item) => item,
	"n8n-nodes-base.set": (node, item, seen) =>
		Object.fromEntries(node.parameters.assignments.assignments.map(a => [a.name, value(a.value, item, seen)])),
	"n8n-nodes-base.httpRequest": async (node, item, seen) => {
		const {method, url, jsonBody} = node.parameters;
		const answer = await fetch(value(url, item, seen), {method, headers: {"Content-Type": "application/json"}, body: value(jsonBody, item, seen)});
		if (!answer.ok) throw new Error(`status ${answer.status}`);
		return answer.json().catch(() => ({}));
	},
};

async function run(name, item, seen) {
	const node = workflow.nodes.find(n => n.name === name);
	for (let tries = node.retryOnFail ? node.maxTries : 1; ; ) {
		try {
			seen[name] = await types[node.type](node, item, seen);
			break;
		} catch (error) {
			if (--tries === 0) throw error;
			await sleep(node.waitBetweenTries);
		}
	}
	for (const next of workflow.connections[name]?.main[0] ?? []) await run(next.node, seen[name], seen);
}

const hook = workflow.nodes.find(n => n.type === "n8n-nodes-base.webhook"), {httpMethod, path, authentication, responseMode} = hook.parameters;
if (authentication !== "headerAuth" || !hook.credentials.httpHeaderAuth || responseMode !== "onReceived") throw new Error("another webhook");
http.createServer(async (request, response) => {
	let body = "";
	for await (const chunk of request.setEncoding("utf8")) body += chunk;
	const say = (status, text) => response.writeHead(status, {"Content-Type": "application/json"}).end(JSON.stringify(text));
	if (request.method !== httpMethod || request.url !== "/webhook/" + path) return say(404, {code: 404});
	if (request.headers.authorization !== "Bearer " + process.env.WORKER_TOKEN) return say(403, {message: "Authorization data is wrong!"});
	say(200, {message: "Workflow was started"});
	run(hook.name, {headers: request.headers, params: {}, query: {}, body: JSON.parse(body)}, {}).catch(error => console.log("the workflow has failed:", error));
}).listen(process.env.PORT, "127.0.0.1", () => console.log("the stand-in listens"));
