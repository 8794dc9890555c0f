// Asks before something is changed.

import {setText} from "./dom.js";

const element = id => document.getElementById(id);

// confirmed asks a question, and gives whether the answer is yes. Escape is no. The focus is on no, and goes back to where it was.
export function confirmed(title, text, yes) {
	const dialog = element("question");
	setText(element("question-title"), title);
	setText(element("question-text"), text);
	setText(element("question-yes"), yes);
	return new Promise(resolve => {
		let answer = false;
		element("question-no").onclick = () => dialog.close();
		element("question-yes").onclick = () => {
			answer = true;
			dialog.close();
		};
		dialog.onclose = () => resolve(answer);
		dialog.showModal();
		element("question-no").focus();
	});
}
