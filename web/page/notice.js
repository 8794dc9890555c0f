// Says what went wrong, and what an action has done.

import {h, setText, sign} from "./dom.js";

// problemLine makes a line that shows an error of the API while there is one. The banner of the page says why the page is not live.
export function problemLine() {
	const words = h("span"), root = h("p", {class: "banner bad", role: "alert", hidden: true}, sign("bad"), words);
	return {
		root,
		show(error, stop) {
			if (stop?.aborted) return;
			setText(words, error.status ? error.message : `This gateway does not answer: ${error.message}`);
			root.hidden = false;
		},
		clear() {
			root.hidden = true;
		},
	};
}

// resultLine makes a line for what an action has done.
export function resultLine(context) {
	const words = h("span"), root = h("p", {class: "banner good", hidden: true}, sign("good"), words);
	return {
		root,
		show(text) {
			setText(words, text);
			root.hidden = false;
			context.announce(text);
		},
	};
}
