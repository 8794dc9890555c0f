// The parts that show one list each: late results, waiters, warnings, and the configuration in effect.

import {get, getText, repeat} from "./api.js";
import {fill, h, setText, tag} from "./dom.js";
import {clock, count} from "./format.js";
import {problemLine} from "./notice.js";
import {Table, text} from "./table.js";

// listed makes a part of the page that reads a list again and again. read gives its items.
function listed({title, words, table, read, every}, stop) {
	const problem = problemLine();
	repeat(async () => {
		try {
			const items = await read();
			table.show(items, items.length);
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	}, () => every, stop);
	return {title, root: h("div", null, h("h1", {tabindex: "-1"}, title), h("p", {class: "lead"}, words), problem.root, table.root)};
}

export function late(_, __, stop) {
	const table = new Table({
		caption: "Late results", empty: "No callback has come late.", most: 200, key: one => `${one.trip} ${one.op} ${one.at}`,
		columns: [
			{label: "Trip", class: "id", cell: (cell, one) => fill(cell, one.trip, () => h("a", {href: `#/trips/${encodeURIComponent(one.trip)}`}, one.trip))},
			text("Came", one => clock(one.at, true), {class: "time"}),
			text("Operation", one => String(one.op)),
			{label: "Result", cell: (cell, one) => fill(cell, String(one.kept), () => one.kept ? tag("good", "kept for its client") : tag("warn", "not kept"))},
		],
	});
	return listed({
		title: "Late results", words: "Callbacks that came when their trip was over, the newest first. Many of them: the deadline is too short for the engine.",
		table, every: 2000, read: async () => (await get("api/late?limit=200", stop)).late,
	}, stop);
}

export function waiters(_, __, stop) {
	const table = new Table({
		caption: "Waiters", empty: "This node has no waiters. A waiter completes a client's task by a name that a sender of webhooks knows.", most: 500, key: waiter => waiter.name,
		columns: [text("Waiter", waiter => waiter.name, {class: "id"}), text("Process", waiter => waiter.process), text("Key", waiter => waiter.key), text("URL", waiter => waiter.url, {class: "id wide"})],
	});
	return listed({
		title: "Waiters", words: "Who completes tasks by name, and where. The URLs are masked: syncgate waiters prints them whole.",
		table, every: 10_000, read: async () => (await get("api/waiters", stop)).waiters,
	}, stop);
}

export function warnings(_, __, stop) {
	const tones = {warn: "warn", error: "bad", fatal: "bad", panic: "bad"};
	const seen = new WeakMap();
	let read = [];
	const table = new Table({
		caption: "Warnings", empty: "The log has no warning since the node started.", most: 200, key: one => seen.get(one),
		columns: [
			text("Time", one => clock(one.time, true), {class: "time"}),
			{label: "Level", cell: (cell, one) => fill(cell, one.level, () => tag(tones[one.level] ?? "none", one.level))},
			text("Message", one => one.message, {class: "message"}),
			{label: "Fields", class: "wide fields", cell: (cell, one) => fill(cell, JSON.stringify(one.fields ?? {}), () => Object.entries(one.fields ?? {}).map(([name, value]) =>
				h("span", {class: "field"}, h("i", null, name), " ", typeof value === "string" ? value : JSON.stringify(value))))},
		],
	});
	return listed({
		title: "Warnings", words: "The last lines of the log at warn or above, the newest first. docs/troubleshooting.md says what each means.", table, every: 3000,
		read: async () => {
			read = (await get("api/warnings", stop)).warnings;
			const times = new Map(); // lines may be the same to the last letter
			for (const one of [...read].reverse()) {
				const line = JSON.stringify(one), n = (times.get(line) ?? 0) + 1;
				times.set(line, n);
				seen.set(one, `${n} ${line}`);
			}
			return read;
		},
	}, stop);
}

export function configuration(_, __, stop) {
	const problem = problemLine(), pre = h("pre", {class: "yaml", tabindex: "0", role: "region", "aria-label": "The configuration in YAML"}), note = h("p", {class: "note"});
	repeat(async () => {
		try {
			const yaml = await getText("api/config", stop);
			setText(pre, yaml);
			setText(note, `${count(yaml.trimEnd().split("\n").length)} lines, as syncgate check prints them`);
			problem.clear();
		} catch (e) {
			problem.show(e, stop);
		}
	}, () => 10_000, stop);
	return {title: "Configuration", root: h("div", null, h("h1", {tabindex: "-1"}, "Configuration"), h("p", {class: "lead"}, "What is in effect: the file, the environment and the defaults. Secrets are masked."), problem.root, pre, note)};
}
