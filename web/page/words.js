// The words of outcomes and states: the tone of each, and what it means in a sentence.

const outcomes = {
	complete: ["good", "every operation has its result"],
	handed_over: ["good", "the engine has the task, and the client comes back for the result"],
	registered: ["good", "a subscription is kept, and no task was made"],
	cancelled: ["none", "the engine, a client or an operator has cancelled the task"],
	timeout: ["wait", "the deadline came before the result"],
	hung_up: ["warn", "the client left before the result"],
	failed: ["bad", "the engine reports that the task has failed"],
	not_allowed: ["warn", "no operation is one that clients may ask for"],
	bad_request: ["warn", "the request itself is wrong"],
	unauthorized: ["warn", "signature, login or time is wrong"],
	forbidden: ["warn", "the page's origin is not allowed"],
	limited: ["warn", "the login has reached its limit"],
	overloaded: ["bad", "the node has reached a limit"],
	engine_refused: ["bad", "the engine did not take the request, or one of its operations"],
	engine_unreachable: ["bad", "nothing could be sent to the engine"],
	engine_busy: ["bad", "every connection to the engine was in use for too long"],
	engine_error: ["bad", "the engine's answer was not one of its protocol"],
	correlator_down: ["bad", "Redis could not be reached"],
	draining: ["warn", "the node ends"],
	internal_error: ["bad", "a fault of the gateway: please report it"],
};

export const outcomeNames = Object.keys(outcomes);

// outcome gives the tone of an outcome, the word for it and what it means. One that the page does not know is shown as it is.
export function outcome(name) {
	const [tone, meaning] = outcomes[name] ?? ["none", ""];
	return {tone, word: String(name).replaceAll("_", " "), meaning};
}

// state gives tone and word of where a trip is.
export function state(trip) {
	if (trip.state === "over") return outcome(trip.outcome);
	if (trip.state === "queued") return {tone: "warn", word: "queued", meaning: "it waits for a connection to the engine"};
	return {tone: "wait", word: trip.state, meaning: "the client waits for the engine's callback"};
}

// node gives tone and word of the state of the node.
export function node(status) {
	if (status.state === "ready") return {tone: "good", word: "ready"};
	if (status.state === "shutting down") return {tone: "warn", word: "draining: takes no new requests"};
	return {tone: "bad", word: status.missing ? `${status.state}: ${status.missing}` : status.state};
}

// notification gives the tone of the state of a notification.
export function notification(state) {
	return {open: "wait", delivered: "good", dead: "bad", refused: "bad", gone: "warn"}[state] ?? "none";
}

// opState words the state of an operation.
export function opState(state) {
	if (state === "final") return {tone: "good", word: "has its result"};
	if (state === "not_allowed") return {tone: "bad", word: "not allowed"};
	return {tone: "wait", word: "open"};
}
