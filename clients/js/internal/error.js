/** Every way in which a call fails. README.md says what the members are, and lists the codes. */
export class SyncgateError extends Error {
	constructor(message, {cause, ...facts}) {
		super(message, {cause});
		Object.assign(this, {name: "SyncgateError", code: "unexpected", status: 0, type: "", maybe: false}, facts);
	}
}
