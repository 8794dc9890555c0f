// Draws picture, a dashboard of deploy/grafana with the answers of Prometheus, by uPlot: panels where the dashboard has them, with its units, limits of axes,
// stacking, thresholds, mappings and names of lines. What a dashboard does not use is not known here.

const column = 50, row = 38, gap = 8; // pixels, as Grafana has them at this width
const colours = ["#56a64b", "#e0b400", "#3274d9", "#ff780a", "#e02f44", "#8f3bb8", "#37a2b5", "#7c2855", "#6b8e23", "#1f4e9c", "#b35f00", "#8a8a8a", "#d683ce"];
const named = {green: "#37872d", red: "#c4162a", orange: "#fa6400", yellow: "#e0b400", blue: "#1f60c4", purple: "#8f3bb8", text: "#24292e"};

const scaled = (v, base, units) => {
  let i = 0;
  for (; Math.abs(v) >= base && i < units.length - 1; i++) v /= base;
  return [v, units[i]];
};
const digits = v => v === 0 ? "0" : Math.abs(v) >= 100 ? v.toFixed(0) : String(parseFloat(v.toPrecision(3)));
const time = v => {
  const a = Math.abs(v);
  if (a === 0) return [v, " s"];
  if (a < 1e-3) return [v * 1e6, " µs"];
  if (a < 1) return [v * 1e3, " ms"];
  if (a < 60) return [v, " s"];
  return a < 3600 ? [v / 60, " mins"] : [v / 3600, " hours"];
};
const rate = word => v => { const [n, unit] = scaled(v, 1000, ["", "K", "Mil"]); return [n, `${unit} ${word}`]; };
const units = {
  short: v => scaled(v, 1000, ["", " K", " Mil", " Bil"]), s: time, bytes: v => scaled(v, 1024, [" B", " KiB", " MiB", " GiB"]),
  Bps: v => scaled(v, 1000, [" B/s", " kB/s", " MB/s"]), reqps: rate("req/s"), ops: rate("ops/s"), cps: rate("c/s"), cpm: rate("c/m"),
  percentunit: v => [v * 100, "%"],
};
const written = (v, unit) => { const [n, suffix] = units[unit](v); return digits(n) + suffix; };
const filled = text => (text ?? "").replace(/\$(\w+)/g, (found, name) => picture.variables[name] ?? found);

function add(parent, tag, style, text) {
  const e = document.createElement(tag);
  Object.assign(e.style, style);
  if (text !== undefined) e.textContent = text;
  parent.append(e);
  return e;
}

const alpha = (colour, percent) => colour + Math.round(percent * 2.55).toString(16).padStart(2, "0");

// colourOf is a fixed colour that an override of the dashboard gives to a line, or else the next of the palette.
function colourOf(panel, name, i) {
  for (const {matcher, properties} of panel.fieldConfig.overrides) {
    const fixed = properties.find(p => p.id === "color")?.value.fixedColor;
    if (fixed && matcher.id === "byName" && matcher.options === name) return named[fixed];
    if (fixed && matcher.id === "byRegexp" && new RegExp(matcher.options.replace(/^\/|\/$/g, "")).test(name)) return named[fixed];
  }
  return colours[i % colours.length];
}

function stat(box, panel, lines) {
  const {unit, thresholds, mappings = []} = panel.fieldConfig.defaults;
  const value = lines[0]?.values.at(-1) ?? null;
  const colour = thresholds.steps.findLast(s => s.value === null || value !== null && value >= s.value).color;
  const text = mappings.find(m => m.type === "value")?.options[value]?.text ?? (value === null ? "No data" : written(value, unit));
  add(box, "div", {font: "500 38px sans-serif", color: named[colour], textAlign: "center", paddingTop: "20px"}, text);
}

function line(ctx, colour, x0, y0, x1, y1) {
  ctx.strokeStyle = colour;
  ctx.setLineDash([2, 3]);
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
  ctx.setLineDash([]);
}

function series(box, panel, lines, width, height) {
  const {unit, min, max, custom, thresholds} = panel.fieldConfig.defaults;
  const times = Array.from({length: (picture.to - picture.from) / picture.step + 1}, (_, i) => picture.from + i * picture.step);
  const styles = lines.map((l, i) => colourOf(panel, l.name, i));
  const legend = document.createElement("div");
  Object.assign(legend.style, {font: "11px sans-serif", maxHeight: `${Math.floor(height * 0.35)}px`, overflow: "hidden", padding: "0 8px"});
  lines.forEach((l, i) => {
    const item = add(legend, "span", {marginRight: "12px", whiteSpace: "nowrap", display: "inline-block"});
    add(item, "span", {display: "inline-block", width: "14px", height: "4px", borderRadius: "2px", background: styles[i], marginRight: "5px", verticalAlign: "middle"});
    add(item, "span", {}, l.name);
  });
  const plot = add(box, "div", {});
  box.append(legend);
  const stacked = custom.stacking.mode === "normal";
  const below = times.map(() => 0);
  const data = lines.map(l => l.values.map((v, i) => v === null ? null : stacked ? (below[i] += v) : v));
  const points = custom.showPoints === "never" ? {show: false} : {};
  new uPlot({
    width, height: height - legend.offsetHeight - 34, legend: {show: false}, cursor: {show: false}, pxAlign: true,
    scales: {x: {time: true, range: [picture.from, picture.to]}, y: {range: (u, low, high) => {
      const [from, to] = uPlot.rangeNum(low ?? 0, high || 1, 0.1, true);
      return [min ?? from, max ?? to];
    }}},
    axes: [
      {font: "10px sans-serif", size: 24, space: 75, grid: {stroke: "#eee", width: 1}, values: (u, all) => all.map(v => new Date(v * 1e3).toISOString().slice(11, 19))},
      {font: "10px sans-serif", size: (u, all) => 18 + 6 * Math.max(4, ...(all ?? []).map(v => v.length)), ...(unit === "bytes" ? {incrs: Array.from({length: 50}, (_, i) => 2 ** i)} : {}), grid: {stroke: "#eee", width: 1}, values: (u, all) => all.map(v => written(v, unit))},
    ],
    series: [{}, ...lines.map((l, i) => ({
      stroke: styles[i], width: custom.lineWidth, points, spanGaps: false, fill: stacked && i > 0 ? undefined : alpha(styles[i], custom.fillOpacity),
    }))],
    bands: stacked ? lines.slice(1).map((l, i) => ({series: [i + 2, i + 1], fill: alpha(styles[i + 1], custom.fillOpacity)})) : [],
    hooks: {drawAxes: [u => picture.marks.forEach(m => {
      const x = Math.round(u.valToPos(m.at, "x", true)) + 0.5;
      line(u.ctx, "#ccc", x, u.bbox.top, x, u.bbox.top + u.bbox.height);
    })], draw: [u => custom.thresholdsStyle && thresholds.steps.filter(s => s.value !== null).forEach(s => { // dashed
      const y = Math.round(u.valToPos(s.value, "y", true)) + 0.5;
      line(u.ctx, named[s.color], u.bbox.left, y, u.bbox.left + u.bbox.width, y);
    })]},
  }, [times, ...data], plot);
}

const {dashboard} = picture, clock = at => new Date(at * 1e3).toISOString().slice(11, 19);
Object.assign(document.body.style, {margin: "0", background: "#f4f5f5", color: named.text, width: "1240px", position: "relative"});
const head = add(document.body, "div", {padding: "12px 20px 6px", font: "12px sans-serif"});
add(head, "div", {font: "500 18px sans-serif"}, dashboard.title);
add(head, "div", {margin: "4px 0"}, dashboard.templating.list.slice(1).map(v => `${v.label}: ${v.includeAll ? "All" : picture.variables[v.name]}`).join("    "));
add(head, "div", {color: "#666"}, picture.marks.map(m => `${clock(m.at)} ${m.name}`).join("  ·  "));
const top0 = head.offsetHeight;
let bottom = 0;
for (const panel of dashboard.panels) {
  const {x, y, w, h} = panel.gridPos, width = w * column - gap, height = h * row - gap;
  const box = add(document.body, "div", {position: "absolute", left: `${20 + x * column}px`, top: `${top0 + y * row}px`, width: `${width}px`, height: `${height}px`, overflow: "hidden"});
  bottom = Math.max(bottom, top0 + (y + h) * row);
  if (panel.type === "row") {
    add(box, "div", {font: "500 15px sans-serif", paddingTop: "8px"}, filled(panel.title));
    continue;
  }
  Object.assign(box.style, {background: "#fff", outline: "1px solid #ddd"});
  add(box, "div", {font: "500 13px sans-serif", padding: "6px 8px"}, filled(panel.title));
  (panel.type === "stat" ? stat : series)(box, panel, picture.lines[panel.id] ?? [], width, height);
}
document.body.style.height = `${bottom}px`;
document.body.dataset.height = bottom;
