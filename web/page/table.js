// Tables of rows that come, change and go. The number of rows in the document is bounded, and a row that is the same is left alone.

import {arrange, h, setText} from "./dom.js";
import {count} from "./format.js";

// Table shows items as rows. A column has a label, cell(td, item), which changes a cell by setText or fill, and perhaps a class, a name that is longer than the label, and order(item): then its head is a button
// that sorts by it, the largest first, or the first of the alphabet if ascending. key(item) names an item. empty is what stands there without any.
export class Table {
	#columns;
	#key;
	#most;
	#rows = new Map(); // of a key: a row and its cells
	#body = h("tbody", {role: "rowgroup"});
	#more = h("p", {class: "more"});
	#empty;
	#scope;
	#sort = null; // a column
	#last = [[], 0];

	constructor({caption, columns, key, most = 100, empty, sort}) {
		this.#columns = columns;
		this.#key = key;
		this.#most = most;
		this.#sort = columns.find(column => column.label === sort) ?? null;
		this.#empty = h("p", {class: "empty"}, empty);
		this.#scope = h("table", {role: "table"}, h("caption", {class: "hidden"}, caption),
			h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, columns.map(column => this.#head(column)))), this.#body);
		this.root = h("div", {class: "table"}, this.#scope, this.#empty, this.#more);
		this.#markSort();
		this.show([], 0);
	}

	#head(column) {
		column.head = h("th", {role: "columnheader", scope: "col", class: column.class, "aria-label": column.name},
			column.order ? h("button", {type: "button", class: "sort", onclick: () => this.#sortBy(column)}, column.label) : column.label);
		return column.head;
	}

	#sortBy(column) {
		this.#sort = column;
		this.#markSort();
		this.show(...this.#last);
	}

	#markSort() {
		for (const column of this.#columns) {
			if (column.order) column.head.setAttribute("aria-sort", column === this.#sort ? (column.ascending ? "ascending" : "descending") : "none");
		}
	}

	// show makes items the rows. total is how many there are, with those that were not sent.
	show(items, total = items.length) {
		this.#last = [items, total];
		const shown = this.#sorted(items).slice(0, this.#most);
		const rows = [], keys = new Set();
		for (const item of shown) {
			const key = this.#key(item);
			if (keys.has(key)) continue;
			keys.add(key);
			let row = this.#rows.get(key);
			if (!row) this.#rows.set(key, row = this.#make());
			this.#columns.forEach((column, i) => column.cell(row.cells[i], item));
			rows.push(row.tr);
		}
		for (const key of this.#rows.keys()) {
			if (!keys.has(key)) this.#rows.delete(key);
		}
		// Rows that the reader is about to use keep their places.
		if (!this.#sort || !this.#scope.matches(":hover, :focus-within") || rows.some(row => !row.isConnected) || rows.length !== this.#body.children.length) {
			arrange(this.#body, rows);
		}
		const rest = total - shown.length;
		setText(this.#more, rest > 0 ? `and ${count(rest)} more` : "");
		this.#more.hidden = rest <= 0;
		this.#empty.hidden = shown.length > 0;
		this.#scope.hidden = shown.length === 0;
	}

	#sorted(items) {
		if (!this.#sort) return items;
		const order = this.#sort.order;
		return [...items].sort((a, b) => {
			const x = order(a) ?? -1, y = order(b) ?? -1, byKey = this.#key(a) < this.#key(b) ? -1 : 1;
			if (this.#sort.ascending) return x < y ? -1 : x > y ? 1 : byKey;
			return y - x || byKey;
		});
	}

	#make() {
		// On a narrow screen each cell stands in a line of its own, behind its label.
		const cells = this.#columns.map((column, i) => h(i === 0 ? "th" : "td", {role: i === 0 ? "rowheader" : "cell", scope: i === 0 && "row", class: column.class, "data-label": column.name ?? column.label}));
		return {tr: h("tr", {role: "row"}, cells), cells};
	}
}

// text makes a column of plain text.
export function text(label, of, more = {}) {
	return {label, cell: (cell, item) => setText(cell, of(item) ?? ""), ...more};
}

// number makes a column of figures, which stand under each other.
export function number(label, of, order) {
	return text(label, of, {class: "n", order});
}
