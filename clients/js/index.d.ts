/** Where a gateway is, and who calls it. Give key, user with password, login with secret or sign, or none of these. */
export interface SyncgateOptions {
	/** Where the gateway is, as in https://sync.example.com. A path at its end is put before every route. */
	url: string | URL;
	/** A key of the gateway's `access`: in a page one that is bound to its origin, on a server a secret one. */
	key?: string;
	/** A user of the gateway's `access`, with the password. */
	user?: string;
	password?: string;
	/** A login of Corezoid, for callCorezoid and for routes with `auth: corezoid`. */
	login?: string | number;
	/** The login's secret. A page must not have it. */
	secret?: string;
	/** Signs in place of secret: gives hex(sha1(time + secret + body + secret)), from wherever the secret is. */
	sign?: (time: string, body: Uint8Array) => string | Promise<string>;
	/** How many seconds one request waits at the gateway, 20 by default. It must be less than what every proxy on the way allows. */
	hold?: number;
	/** How many requests one call repeats at most, 20 by default. */
	reattach?: number;
	/** The largest answer or event, in bytes, 16 MiB by default. */
	maxBytes?: number;
	/** Reads JSON, JSON.parse by default. Give another one where numbers have more than 15 digits. */
	parse?: (text: string) => any;
	/** Sends requests, the platform's fetch by default. */
	fetch?: typeof fetch;
}

export interface CallOptions {
	/** How many seconds the call waits for its result, 120 by default. The task goes on after that. */
	wait?: number;
	/** Aborts the call, and cancels its task. */
	signal?: AbortSignal;
	/** The name of this action, such as `transfer-8731`: the same action makes one task, however often it is called. A random one by default; false: none. */
	idempotencyKey?: string | false;
	/** Headers that are sent with the request. */
	headers?: Record<string, string>;
}

export interface RouteOptions extends CallOptions {
	/** Hears what the engine reports while it works. */
	onProgress?: (progress: any) => void;
	/** The method, POST by default. */
	method?: string;
	/** The Content-Type of data that is bytes, application/octet-stream by default. */
	contentType?: string;
}

export interface ResultOptions {
	/** How many seconds to wait for the result, 120 by default. */
	wait?: number;
	/** Aborts, and cancels the task. */
	signal?: AbortSignal;
	/** Hears what the engine reports while it works. */
	onProgress?: (progress: any) => void;
}

/** One operation of a reply, which answers the operation of the request that stands in its place. */
export interface Operation<T = any> {
	/** "ok" where data is the result; anything else is the engine's refusal. */
	proc: string;
	data?: T;
	description?: string;
	id?: string | number;
	ref?: string | number;
	[member: string]: any;
}

export interface Reply<T = any> {
	request_proc: string;
	ops: Operation<T>[];
}

export class Syncgate {
	constructor(options: SyncgateOptions);
	/**
	 * Calls a route and gives its result: a value where that is JSON, a string where it is text, a Uint8Array where it is anything else, and
	 * undefined where it is empty. Data is sent as JSON, a Uint8Array as it is, undefined as an empty body.
	 */
	call<T = any>(route: string, data?: unknown, options?: RouteOptions): Promise<T>;
	/** Gives the result of a task that an earlier call has left, by the `task` of its error. */
	result<T = any>(task: string | URL, options?: ResultOptions): Promise<T>;
	/** Cancels a task. False: it was over, or the gateway cannot be reached. */
	cancel(task: string | URL): Promise<boolean>;
	/** Sends one operation or several to Corezoid's processes, and gives the reply when each has its result. */
	callCorezoid<T = any>(ops: object | object[], options?: CallOptions): Promise<Reply<T>>;
}

/** Every way in which a call fails. */
export class SyncgateError extends Error {
	/**
	 * What has happened: the name of a problem of the gateway ("too-many-requests", "gone", "cancelled", ...), "engine-error" where the engine says that
	 * its task has failed, or one of the client's own: "timeout", "aborted", "network", "too-large", "on-progress", "unexpected".
	 */
	code: string;
	/** The HTTP status, 0 where there was no answer. */
	status: number;
	/** The type of the problem (RFC 9457), "" where there is none. */
	type: string;
	/** A task may exist whose end is not known. Come back with `result(task)`, or call again with `idempotencyKey`. False: no task goes on. */
	maybe: boolean;
	/** The URL of the task, if it is known. */
	task?: string;
	/** The key that was sent. */
	idempotencyKey?: string;
	/** The gateway's id of the request, for its operator. */
	requestId?: string;
	/** How many seconds to wait before another try. */
	retryAfter?: number;
	/** The body of the answer: the engine's error, the problem, or the reply so far. */
	data?: any;
	/** Of a call that was aborted: becomes true when the task is cancelled, and false where it was over, is not known or cannot be reached. */
	cancelled?: Promise<boolean>;
}
