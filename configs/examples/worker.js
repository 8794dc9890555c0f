// A worker: it answers 202 at once, works, and posts the result to the callback URL of the task.
const http = require("http"), {setTimeout: sleep} = require("timers/promises");

async function work(task) {
	await sleep(1000); // your work
	return {greeting: "Hello, " + task.name};
}

async function run(url, body) {
	let status = "complete", result;
	try { result = await work(JSON.parse(body)); } catch (error) { status = "error"; result = {message: String(error)}; }
	const call = {method: "POST", headers: {"Content-Type": "application/json", "X-Callback-Status": status}, body: JSON.stringify(result)};
	for (const pause of [1, 2, 4, 8, 16]) {
		const answer = await fetch(url, call).catch(() => ({status: 503})); // nobody was there
		if (answer.status < 500) return answer.status < 300 || console.log("the gateway refuses the result:", answer.status);
		await sleep(pause * 1000);
	}
}

http.createServer(async (request, response) => {
	let body = "";
	for await (const chunk of request.setEncoding("utf8")) body += chunk;
	const known = request.headers.authorization === "Bearer " + process.env.WORKER_TOKEN;
	response.writeHead(known ? 202 : 401).end();
	if (known) run(request.headers["x-callback-url"], body);
}).listen(process.env.PORT || 9000, "127.0.0.1", function () { console.log("the worker listens on port", this.address().port); });
