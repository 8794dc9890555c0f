// Words numbers and times. All take null and undefined as "not known".

const nothing = "–";

export function count(n) {
	return n == null ? nothing : n.toLocaleString("en-US");
}

export function duration(ms) {
	if (ms == null) return nothing;
	const sign = ms < 0 ? "−" : "";
	ms = Math.abs(ms);
	if (ms > 0 && ms < 9.95) return `${sign}${ms < 0.1 ? "<0.1" : ms.toFixed(Number.isInteger(ms) ? 0 : 1)} ms`;
	if (ms < 999.5) return `${sign}${Math.round(ms)} ms`;
	if (ms < 59_995) return `${sign}${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`;
	const s = Math.round(ms / 1000);
	if (s < 3600) return `${sign}${Math.floor(s / 60)} min ${s % 60} s`;
	if (s < 86_400) return `${sign}${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
	return `${sign}${Math.floor(s / 86_400)} d ${Math.floor(s % 86_400 / 3600)} h`;
}

// seconds is duration for what changes each second.
export function seconds(ms) {
	return ms == null ? nothing : Math.abs(ms) < 59_500 ? `${Math.round(ms / 1000)} s` : duration(Math.round(ms / 1000) * 1000);
}

export function rate(perSecond) {
	if (perSecond == null) return nothing;
	if (perSecond === 0) return "0/s";
	if (perSecond < 0.1) return `${(perSecond * 60).toFixed(1)}/min`;
	return `${perSecond < 100 ? perSecond.toFixed(1) : count(Math.round(perSecond))}/s`;
}

export function bytes(n) {
	if (n == null) return nothing;
	for (const unit of ["B", "KiB", "MiB", "GiB"]) {
		if (n < 1024 || unit === "GiB") return `${unit === "B" ? n : n.toFixed(n < 10 ? 1 : 0)} ${unit}`;
		n /= 1024;
	}
}

// plural words a number of things.
export function plural(n, one, many = one + "s") {
	return `${count(n)} ${n === 1 ? one : many}`;
}

const two = n => String(n).padStart(2, "0");

// clock gives the time of the day, of the browser's zone, and the day too if that is not today's. thousandths: with milliseconds.
export function clock(time, thousandths) {
	if (time == null) return nothing;
	const t = new Date(time);
	if (Number.isNaN(t.getTime())) return nothing;
	let text = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
	if (thousandths) text += "." + String(t.getMilliseconds()).padStart(3, "0");
	return t.toDateString() === new Date().toDateString() ? text : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${text}`;
}

// zone names the browser's zone.
export function zone() {
	const minutes = -new Date().getTimezoneOffset();
	if (minutes === 0) return "UTC";
	return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}
