// Asks before something is changed.

import {setText} from "./dom.js";

const element = id => document.getElementById(id);

let settle = () => {}; // answers the question before, if that has no answer yet

// confirmed asks a question, and gives whether the answer is yes. Escape is no. The focus is on no, and goes back to where it was.
export function confirmed(title, text, yes) {
	const dialog = element("question");
	setText(element("question-title"), title);
	setText(element("question-text"), text);
	setText(element("question-yes"), yes);
	settle(false);
	return new Promise(resolve => {
		let answer = false;
		settle = resolve;
		element("question-no").onclick = () => dialog.close();
		element("question-yes").onclick = () => {
			answer = true;
			dialog.close();
		};
		dialog.onclose = () => {
			if (!dialog.open) resolve(answer); // the event of the question before may come after this one has opened
		};
		dialog.showModal();
		element("question-no").focus();
	});
}
