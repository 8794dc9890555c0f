const utf8 = new TextEncoder();

const hex = bytes => [...new Uint8Array(bytes)].map(b => b.toString(16).padStart(2, "0")).join("");

/** Makes what authenticates requests: a function of path and body that gives the path and the headers to send. */
export function authorizer({key, user, password, login, secret, sign}) {
	const inPage = typeof document !== "undefined" || typeof WorkerGlobalScope !== "undefined";
	if (inPage && secret !== undefined) throw new TypeError("a page must not have the secret, as its visitors can read it: give the page a key of its own");
	if ([key, user, login].filter(way => way !== undefined).length > 1) throw new TypeError("key, user and login exclude each other");
	if (login !== undefined) {
		if ((secret === undefined) === (sign === undefined)) throw new TypeError("login needs secret or sign");
		return signer(login, sign ?? ((time, body) => corezoid(time, secret, body)));
	}
	const headers = {};
	if (key !== undefined) headers.Authorization = "Bearer " + key;
	if (user !== undefined) headers.Authorization = "Basic " + btoa(String.fromCharCode(...utf8.encode(`${user}:${password ?? ""}`)));
	return async path => ({path, headers});
}

/** The signature of Corezoid's Sync API: hex(sha1(TIME + SECRET + BODY + SECRET)). */
async function corezoid(time, secret, body) {
	const signed = await new Blob([time, secret, body, secret]).arrayBuffer();
	return hex(await crypto.subtle.digest("SHA-1", signed));
}

/** The signature stands behind the path and before the query. Each attempt has its own time. */
function signer(login, sign) {
	return async (path, body) => {
		const time = String(Math.floor(Date.now() / 1000)), [, raw, query] = /^([^?]*)(.*)$/s.exec(path);
		return {path: `${raw}/${login}/${time}/${await sign(time, body)}${query}`, headers: {}};
	};
}
