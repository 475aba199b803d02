// Visits over time as stacked bars, and the same as a table.
import { el, svg } from "./dom.js";
import { nameOf, toneOf } from "./words.js";

const HEIGHT = 220, LEFT = 34, BOTTOM = 24, TOP = 10, TICK_WIDTH = 90;

export function chart(target, tableTarget, history) {
  const totals = history.bins.map((bin) => bin.reduce((sum, n) => sum + n, 0));
  const most = Math.max(4, ...totals); const step = niceStep(most / 4); const top = Math.ceil(most / step) * step;
  const width = target.clientWidth || 900; // drawn at its own size, so that letters keep theirs
  const wide = (width - LEFT) / history.bins.length; const scale = (HEIGHT - BOTTOM - TOP) / top;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words(history, totals) });
  for (let value = 0; value <= top; value += step) {
    const y = HEIGHT - BOTTOM - value * scale;
    drawing.append(svg("line", { class: "gridline", x1: LEFT, x2: width, y1: y, y2: y }), svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, String(value)));
  }
  history.bins.forEach((bin, i) => {
    let y = HEIGHT - BOTTOM; const group = svg("g", {}, svg("title", {}, tip(history, i)));
    bin.forEach((n, k) => {
      if (!n) return;
      y -= n * scale;
      group.append(svg("rect", { class: toneOf(history.labels[k]), x: LEFT + i * wide + wide * 0.12, y, width: wide * 0.76, height: n * scale, rx: Math.min(3, wide / 6) }));
    });
    drawing.append(group);
  });
  const every = Math.ceil(history.bins.length / Math.min(6, Math.floor((width - LEFT) / TICK_WIDTH)));
  for (let i = 0; i < history.bins.length; i += every) drawing.append(svg("text", { x: LEFT + i * wide + wide * 0.12, y: HEIGHT - 7 }, time(history, i)));
  const legend = el("div", { class: "legend" }, ...history.labels.map((label) => el("span", { class: `key ${toneOf(label)}` }, nameOf(label))));
  target.replaceChildren(drawing, legend);
  tableTarget.replaceChildren(table(history, totals));
}

const startOf = (history, i) => new Date(1000 * (history.at - history.span_s + i * history.bin_s));

function time(history, i) {
  return startOf(history, i).toLocaleString([], history.span_s > 172800 ? { weekday: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" });
}

function tip(history, i) {
  const parts = history.bins[i].map((n, k) => n ? `${nameOf(history.labels[k])}: ${n}` : null).filter(Boolean);
  return `${startOf(history, i).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" })} – ${parts.join(", ") || "no visit"}`;
}

function words(history, totals) {
  const sums = history.labels.map((label, k) => `${nameOf(label)} ${history.bins.reduce((sum, bin) => sum + bin[k], 0)}`);
  return `Visits over time, ${totals.reduce((a, b) => a + b, 0)} in all: ${sums.join(", ")}. The same stands in the table below.`;
}

function table(history, totals) {
  const head = el("tr", {}, el("th", { scope: "col" }, "From"), ...history.labels.map((label) => el("th", { scope: "col" }, nameOf(label))));
  const rows = history.bins.map((bin, i) => totals[i] ? el("tr", {}, el("th", { scope: "row" }, clockWords(history, i)), ...bin.map((n) => el("td", {}, String(n)))) : null).filter(Boolean);
  if (!rows.length) rows.push(el("tr", {}, el("td", { colspan: history.labels.length + 1 }, "No visit in this time.")));
  return el("table", {}, el("caption", { class: "hidden" }, "Visits over time by class"), el("thead", {}, head), el("tbody", {}, ...rows));
}

const clockWords = (history, i) => startOf(history, i).toLocaleString([], { weekday: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

function niceStep(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= value) ?? power * 10;
}
