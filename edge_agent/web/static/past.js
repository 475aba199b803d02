// History: compliance, the chart, and recent visits with their best picture.
import { chart } from "./chart.js";
import { $, el, getJson, svg } from "./dom.js";
import { sign } from "./now.js";
import { clock, duration, getLabels, nameOf, percent, toneOf } from "./words.js";

let span = { seconds: 3600, bins: 30 };
let next = null;
let timer = null;
const visits = new Map();
let paged = false; // the reader went back in time: what comes new is added, nothing is taken away
let history = null;
const PAGE = matchMedia("(max-width: 40rem)").matches ? 6 : 24;

export function startPast() {
  for (const button of document.querySelectorAll(".segments button")) {
    button.addEventListener("click", () => {
      span = { seconds: Number(button.dataset.span), bins: Number(button.dataset.bins) };
      for (const other of document.querySelectorAll(".segments button")) other.setAttribute("aria-pressed", String(other === button));
      refreshHistory();
    });
  }
  $("filter").addEventListener("change", anew);
  $("more").addEventListener("click", () => { paged = true; loadVisits(next); });
  new ResizeObserver(drawChart).observe($("chart"));
  setInterval(() => { if (!document.hidden) refreshHistory(); }, 30000);
}

export function offerLabels() {
  const filter = $("filter");
  if (filter.options.length > 1) return;
  for (const label of [...getLabels(), "cannot_tell"]) filter.append(el("option", { value: label }, nameOf(label)));
}

// A visit began, changed or ended; pictures are written a moment later, so the list is read again then.
export function onVisit(event) {
  if (!$("filter").value) { visits.set(event.id, { ...visits.get(event.id), ...event }); paintVisits(); }
  if (event.type === "end") { clearTimeout(timer); timer = setTimeout(() => { refreshHistory(); loadVisits(); }, 1500); }
}

export async function refreshHistory() {
  try {
    history = await getJson(`/history?span_s=${span.seconds}&bins=${span.bins}`);
    drawChart();
    $("tiles").replaceChildren(tile("Last hour", history.hour), tile("Last 24 hours", history.day));
  } catch { /* the verdict on top says that the device does not answer */ }
}

function drawChart() { if (history) chart($("chart"), $("chart-table"), history); }

export function anew() { visits.clear(); paged = false; loadVisits(); }

async function loadVisits(before = null) {
  const label = $("filter").value;
  const query = new URLSearchParams({ type: "end", limit: String(PAGE) });
  if (label) query.set("label", label);
  if (before) query.set("before", before);
  try {
    const page = await getJson(`/events?${query}`);
    if (!paged) for (const [id, visit] of visits) if (visit.type === "end") visits.delete(id);
    for (const event of page.events) visits.set(event.id, event);
    if (before || !paged) { next = page.next; $("more").hidden = next == null; }
    paintVisits();
  } catch { /* as above */ }
}

function paintVisits() {
  const list = [...visits.values()].sort((a, b) => when(b) - when(a)).slice(0, paged ? undefined : PAGE);
  $("no-visits").hidden = list.length > 0;
  $("visits").replaceChildren(...list.map(visitItem));
}

const when = (event) => Date.parse(event.first_seen ?? event.at);

function visitItem(event) {
  const label = (event.type === "end" ? event.counted_as : event.after) ?? "cannot_tell";
  const face = event.snapshot
    ? el("img", { src: event.snapshot, alt: `Best picture of visit ${event.track ?? ""}`, width: 56, height: 56, loading: "lazy" })
    : el("span", { class: "face", "aria-hidden": "true" }, "–");
  const words = event.static ? "A picture, not a visitor" : nameOf(label);
  const lasted = event.type === "end" ? `${duration(event.duration_s)}` : "in view now";
  return el("li", { class: toneOf(label), data: { visit: event.id, type: event.type, label } }, el("div", { class: "portrait" }, face, sign(label)),
    el("div", {}, el("b", {}, words), el("small", {}, `${clock(event.first_seen ?? event.at)} · ${lasted}`), el("small", {}, `${event.camera} · #${event.track ?? event.id}`)));
}

function tile(title, span) {
  const has = span.compliance != null;
  const [low, high] = span.interval_95 ?? [0, 0];
  const card = el("div", { class: "card" }, el("h3", {}, `Compliance, ${title.toLowerCase()}`),
    el("div", { class: "share" }, el("b", {}, percent(span.compliance)),
      el("span", { class: "faint" }, has ? `${percent(low)} to ${percent(high)} (95 % interval)` : "nobody was judged")));
  if (has) {
    card.append(svg("svg", { class: "interval", viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { x: 0, y: 4, width: 100, height: 6, fill: "var(--idle-soft)" }),
      svg("rect", { x: 100 * low, y: 4, width: Math.max(1, 100 * (high - low)), height: 6, fill: "var(--c0)", opacity: 0.45 }),
      svg("rect", { x: Math.min(98.8, 100 * span.compliance), y: 1, width: 1.2, height: 12, fill: "var(--c0)" })));
  }
  card.append(el("div", { class: "tally" },
    ...Object.entries({ ...span.visits, cannot_tell: span.cannot_tell }).map(([label, n]) => el("span", { class: `key ${toneOf(label)}` }, `${nameOf(label)} ${n}`))));
  return card;
}
