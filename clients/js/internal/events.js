import {lossy, pieces} from "./http.js";

/** Opens a stream of server-sent events behind the last one that was heard. It gives undefined where there is no stream. */
export async function openEvents(settings, path, last, signal) {
	const way = await settings.authorize(path, new Uint8Array());
	const headers = {Accept: "text/event-stream", ...way.headers, ...(last === undefined ? {} : {"Last-Event-ID": last})};
	const response = await lossy(settings.fetch(settings.url + way.path, {headers, signal, redirect: "manual", cache: "no-store", credentials: "omit"}));
	if (response.status === 200 && response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
	response.body?.cancel().catch(() => {});
}

/** Reads events: {id, name, data}. touched is called for whatever comes, comments too. */
export async function* events(response, maxBytes, touched) {
	const text = new TextDecoder();
	let rest = "", size = 0;
	for await (const piece of pieces(response, () => size, maxBytes)) {
		touched();
		const blocks = (rest + text.decode(piece, {stream: true})).split("\n\n");
		rest = blocks.pop();
		size = rest.length;
		for (const block of blocks) {
			const fields = [...block.matchAll(/^(id|event|data): ?(.*)$/gm)], of = name => fields.filter(f => f[1] === name).map(f => f[2]);
			if (of("event").length > 0) yield {id: of("id")[0], name: of("event")[0], data: of("data").join("\n")};
		}
	}
}
