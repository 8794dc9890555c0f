// The buttons of "syncgate demo": each makes a call through the gateway, whose trip then opens.

import {act} from "./api.js";
import {h, sign} from "./dom.js";
import {problemLine} from "./notice.js";

// demoPanel makes the panel, which is hidden unless the node is a demo.
export function demoPanel({live, go}, stop) {
	const problem = problemLine();
	const call = async kind => {
		try {
			const {ref} = await act("POST", "api/demo", {kind});
			go(`#/trips/${encodeURIComponent(ref)}`);
		} catch (e) {
			problem.show(e, stop);
		}
	};
	const button = (kind, mark, label) => h("button", {type: "button", id: "demo-" + kind, onclick: () => call(kind)}, sign(mark), label);
	const root = h("section", {class: "demo", "aria-labelledby": "demo", hidden: true},
		h("div", null, h("h2", {id: "demo"}, "Try it"), h("p", null, "This is a demo with a simulated engine. Make a call through the gateway and see it arrive.")),
		h("p", {class: "buttons"}, button("result", "out", "Call with a result"), button("timeout", "wait", "Call that times out")), problem.root);
	const show = () => root.hidden = !live.status?.demo;
	live.addEventListener("status", show, {signal: stop});
	show();
	return root;
}
