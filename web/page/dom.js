// Makes and changes elements. Text of the gateway goes into text nodes alone: nothing in it can become markup.

// h makes an element. A property that begins with "on" is a listener. A child is a node, a text, or nothing.
export function h(tag, properties, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(properties ?? {})) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value === true) element.setAttribute(name, "");
		else if (value !== false && value != null) element.setAttribute(name, value);
	}
	element.append(...children.flat().filter(child => child != null && child !== false));
	return element;
}

// setText changes a text only if it differs, so that what is the same is not drawn again.
export function setText(node, text) {
	if (node.textContent !== text) node.textContent = text;
}

const filled = new WeakMap();

// fill replaces the children of a node by what make gives, if what differs from the time before. what is a text that says all that make depends on.
export function fill(node, what, make) {
	if (filled.get(node) === what) return;
	filled.set(node, what);
	node.replaceChildren(...[make()].flat().filter(child => child != null && child !== false));
}

// arrange makes wanted the children of a node. It moves as few as it can: a child that is moved loses the focus.
export function arrange(parent, wanted) {
	const keep = new Set(wanted);
	for (const child of [...parent.children]) {
		if (!keep.has(child)) child.remove();
	}
	let next = parent.firstElementChild;
	for (const child of wanted) {
		if (child === next) next = next.nextElementSibling;
		else parent.insertBefore(child, next);
	}
}

const svg = "http://www.w3.org/2000/svg";

// draw makes an element of SVG.
export function draw(tag, attributes, ...children) {
	const element = document.createElementNS(svg, tag);
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	element.append(...children);
	return element;
}

// Signs differ in shape, and a word always stands beside them: nothing is said by colour alone.
const shapes = {
	good: "M2.5 8.5 6 12l7.5-8",
	bad: "M3.5 3.5l9 9M12.5 3.5l-9 9",
	warn: "M8 1.8 14.6 13.6H1.4ZM8 6v3.6M8 11.6v.2",
	wait: "M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 1 0 8 1.7M8 4.4V8l2.6 1.8",
	none: "M3 8h10",
	dot: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 1 0 0-5.6Z",
	out: "M2 8h11M9 4l4 4-4 4",
	in: "M14 8H3M7 4 3 8l4 4",
	keep: "M3 2.5h10v11l-5-3.4-5 3.4Z",
	left: "M9 3 4 8l5 5",
};

// sign makes a drawing for a tone or a step. It says nothing to those who do not see it: the word beside it does.
export function sign(name) {
	return draw("svg", {class: "sign " + name, viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true", focusable: "false"}, draw("path", {d: shapes[name] ?? shapes.none}));
}

// tag makes a word with its sign.
export function tag(tone, word, title) {
	return h("span", {class: "tag " + tone, title}, sign(tone), word);
}
