// The page: which part is shown, by the address behind #, and what stands above every part.

import {fill, h, setText, tag} from "./dom.js";
import {clock, count, zone} from "./format.js";
import {Live} from "./live.js";
import {configuration, late, waiters, warnings} from "./lists.js";
import {notification, notifications} from "./notifications.js";
import {overview} from "./overview.js";
import {trip} from "./trip.js";
import {trips} from "./trips.js";
import {node as nodeState} from "./words.js";

// Each part is a function (context, {name, query}, stop) that gives a title and a root. It ends its work when the signal stop is aborted.
const parts = [
	{path: "", label: "Live", show: overview},
	{path: "trips", label: "Trips", show: trips, one: trip},
	{path: "late", label: "Late results", show: late},
	{path: "notifications", label: "Notifications", show: notifications, one: notification},
	{path: "waiters", label: "Waiters", show: waiters},
	{path: "configuration", label: "Configuration", show: configuration},
	{path: "warnings", label: "Warnings", show: warnings},
];

const element = id => document.getElementById(id);
const live = new Live();
const context = {live, announce, go: address => location.hash = address};
let stop = new AbortController(), title = "", shown = null;

// announce has a screen reader say something.
function announce(text) {
	setText(element("announcement"), text);
}

// address reads what stands behind #: /part, /part/name and ?parameters.
function address() {
	const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
	const [part, ...rest] = path.split("/");
	let name = rest.join("/");
	try {
		name = decodeURIComponent(name);
	} catch {
		// It was written by hand: it is taken as it is.
	}
	return {part, name, query: new URLSearchParams(query)};
}

function route() {
	const {part, name, query} = address(), found = parts.find(one => one.path === part);
	element("question").close(); // it asks about what is shown no more
	stop.abort();
	stop = new AbortController();
	const view = !found || name && !found.one ? unknown() : (name ? found.one : found.show)(context, {name, query}, stop.signal);
	title = view.title;
	showTitle();
	element("main").replaceChildren(view.root);
	for (const link of document.querySelectorAll("#parts a")) {
		if (link.dataset.part === found?.path) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	if (shown !== null) { // not while the page loads: the reader begins at its top
		scrollTo(0, 0);
		view.root.querySelector("h1").focus({preventScroll: true});
	}
	shown = location.hash;
}

function unknown() {
	return {title: "No such part", root: h("div", null, h("h1", {tabindex: "-1"}, "No such part"), h("p", {class: "empty"}, "The address names no part of this page. ", h("a", {href: "#/"}, "See what is live.")))};
}

function showTitle() {
	const parked = live.status?.parked;
	document.title = `${live.live || !live.since ? "" : "not live – "}${title}${parked ? ` (${count(parked)})` : ""} – syncgate`;
}

// showStates shows the states of the node in every part.
let updated = "", stateWords = "";

function showStates() {
	const status = live.status, own = nodeState(status);
	const states = [{name: "Node", ...own}, {name: status.correlator.backend === "redis" ? "Redis" : "Correlator", ...correlator(status.correlator)}];
	for (const engine of status.engines ?? []) {
		states.push({name: `Engine ${engine.name}`, ...engine.breaker_open ? {tone: "bad", word: "breaker open"} : engine.queued > 0 ? {tone: "warn", word: `${count(engine.queued)} queued`} : {tone: "good", word: "breaker closed"}});
	}
	fill(element("states"), JSON.stringify(states), () => states.map(({name, tone, word}) => h("li", null, h("span", {class: "name"}, name), tag(tone, word))));
	setText(element("node"), [status.node && `node ${status.node}`, status.version].filter(Boolean).join(" · "));
	const words = states.filter(({tone}) => tone === "bad" || tone === "warn").map(({name, word}) => `${name}: ${word}`).join(", ");
	if (words !== stateWords && (words || stateWords)) announce(words || "All states are good again.");
	stateWords = words;
	const program = `${status.version} ${status.started}`;
	if (updated && updated !== program) element("foot").dataset.updated = "";
	updated ||= program;
	fill(element("foot"), `${status.actions} ${"updated" in element("foot").dataset} ${status.started}`, () => [
		h("span", null, `Times are those of this browser, ${zone()}. The node started at ${clock(status.started)}.`),
		h("span", null, status.actions ? "Actions are on: cancel, retry, drop." : "Read-only: admin.actions is false."),
		"updated" in element("foot").dataset && h("span", null, tag("warn", "The gateway was started again."), " ", h("button", {type: "button", class: "quiet", onclick: () => location.reload()}, "Reload this page")),
	]);
}

function correlator({backend, up}) {
	const here = backend === "redis" ? "up" : "in memory";
	return up ? {tone: "good", word: here} : {tone: "bad", word: "cannot be used"};
}

// showLive says that the page is live, or since when it is not and why.
function showLive() {
	const since = live.since && clock(live.since), banner = element("banner");
	const lost = !live.live && (live.problem || since);
	const [tone, word] = live.live ? ["good", "live"] : since ? ["bad", `not live since ${since}`] : ["wait", "connecting"];
	fill(element("live"), tone + word, () => tag(tone, word));
	banner.hidden = !lost;
	setText(banner, !lost ? "" : [since && `Not live since ${since}.`, live.problem && `This gateway does not answer: ${live.problem}${/[.?!]$/.test(live.problem) ? "" : "."}`, since && "What you see is from then.", "Trying again."].filter(Boolean).join(" "));
	showTitle();
}

// Themes: that of the system, or the one that was chosen here.
const themes = ["system", "light", "dark"];

function showTheme(theme) {
	if (theme === "system") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme;
	setText(element("theme"), `Theme: ${theme}`);
}

function nextTheme() {
	const theme = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % themes.length];
	try {
		localStorage.setItem("syncgate-theme", theme);
	} catch {
		// It lasts until the page is closed.
	}
	showTheme(theme);
	announce(`Theme: ${theme}`);
}

function search(event) {
	event.preventDefault();
	const name = element("name").value.trim();
	if (name) context.go(`#/${name.startsWith("msg_") ? "notifications" : "trips"}/${encodeURIComponent(name)}`);
}

element("parts").append(...parts.map(part => h("li", null, h("a", {href: "#/" + part.path, "data-part": part.path}, part.label))));
element("skip").addEventListener("click", event => {
	event.preventDefault(); // the address behind # names a part
	element("main").focus();
});
element("search").addEventListener("submit", search);
element("theme").addEventListener("click", nextTheme);
showTheme(document.documentElement.dataset.theme ?? "system");
live.addEventListener("status", () => {
	showStates();
	showTitle();
});
live.addEventListener("change", showLive);
addEventListener("hashchange", route);
showLive();
route();
live.start();
