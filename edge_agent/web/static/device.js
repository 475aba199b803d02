// The device: cameras, speed, the machine, both models; and the summary at the end of a run.
import { $, el, getJson, pairs } from "./dom.js";
import { bytes, capital, day, duration, figure, nameOf } from "./words.js";

const STAGES = ["decode", "motion", "detect", "preprocess", "classify", "track", "decide", "record", "report", "frame"];

export function showCameras(cameras) {
  $("cameras").replaceChildren(...cameras.map((camera) => el("li", {},
    el("div", { class: "person-head" }, el("span", {}, camera.name), el("span", { class: "state", data: { status: camera.status } }, camera.status)),
    el("span", { class: "faint" }, camera.reason || `${figure(camera.fps, "frames a second")}${camera.size ? `, ${camera.size.join(" × ")}` : ""}`))));
}

export function showStats(stats) {
  const latency = stats.latency_ms ?? {};
  if (Object.keys(latency).length) $("speed").replaceChildren(latencyTable(latency));
  const host = stats.host ?? {}; const spool = stats.spool ?? {};
  $("machine").replaceChildren(pairs([
    ["running for", duration(stats.uptime_s ?? stats.elapsed_s)],
    ["frames", stats.frames?.toLocaleString()],
    ["frames a second", figure(stats.fps)],
    ["memory of the agent", host.resident_bytes == null ? null : bytes(host.resident_bytes)],
    ["memory free", host.memory_available_bytes == null ? null : bytes(host.memory_available_bytes)],
    ["processor (of one core)", host.cpu_percent == null ? null : figure(host.cpu_percent, "%", 0)],
    ["temperature", host.temperature_celsius == null ? null : figure(host.temperature_celsius, "°C", 0)],
    ["disk free", host.disk_free_bytes == null ? null : bytes(host.disk_free_bytes)],
    ["events waiting for the broker", spool.events],
    ["pictures saved", stats.saved],
  ]));
}

function latencyTable(latency) {
  const rows = inOrder(latency).map(([name, times]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, figure(times.p50, "", 2)), el("td", {}, figure(times.p95, "", 2))));
  return el("table", {}, el("caption", { class: "hidden" }, "Milliseconds a frame by stage"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "stage"), el("th", { scope: "col" }, "p50 ms"), el("th", { scope: "col" }, "p95 ms"))), el("tbody", {}, ...rows));
}

// The stages as a frame passes them, with names for people.
export const inOrder = (latency) => Object.keys(latency).sort((a, b) => rank(a) - rank(b))
  .map((stage) => [stage === "frame" ? "whole frame" : stage, latency[stage]]);

const rank = (stage) => { const i = STAGES.indexOf(stage); return i < 0 ? 99 : i; };

export async function showModels() {
  try {
    const info = await getJson("/model_info");
    for (const kind of ["classifier", "detector"]) $(kind).replaceChildren(...described(info[kind] ?? {}));
  } catch { /* the verdict on top says that the device does not answer */ }
}

// A model without a manifest (Haar, YuNet) has a name alone.
function described(about) {
  const model = { ...about, ...about.manifest };
  return [pairs([
    ["name", model.name], ["version", model.version], ["architecture", model.architecture],
    ["parameters", model.parameters?.toLocaleString()], ["quantisation", model.quantisation],
    ["input", model.input ? `${model.input.width_px} × ${model.input.height_px} ${model.input.colour_order}` : null],
    ["size", model.flatbuffer_bytes ? bytes(model.flatbuffer_bytes) : null],
    ["trained", model.trained_at ? day(model.trained_at) : null], ["epochs", model.epochs],
    ["classes", model.labels?.map(nameOf).join(", ")],
    ["SHA-256", (model.sha256 ?? "").slice(0, 16)],
  ]), ...measured(model.metrics ?? [])];
}

// The manifest's figures by what they were measured on; those without a number of cases stand last and folded.
function measured(metrics) {
  const groups = new Map();
  for (const one of [...metrics].sort((a, b) => Boolean(b.n) - Boolean(a.n))) {
    const data = one.n ? `${one.data}, n = ${one.n.toLocaleString()}` : one.data;
    groups.set(data, [...groups.get(data) ?? [], one]);
  }
  return [...groups].map(([data, ones]) => el("details", { open: ones[0].n > 0 }, el("summary", {}, capital(data)),
    pairs(ones.map((one) => [measure(one.name), Number.isInteger(one.value) ? one.value.toLocaleString() : one.value.toFixed(3)]))));
}

const measure = (name) => name.replaceAll("_", " ").replace(/\bf1\b/, "F1").replace(/\bece\b/, "calibration error");

export function showSummary(summary) {
  const visits = Object.entries({ ...summary.people, cannot_tell: summary.cannot_tell });
  $("summary-body").replaceChildren(
    el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "visits"), el("th", { scope: "col" }, "number"))),
      el("tbody", {}, ...visits.map(([label, n]) => el("tr", {}, el("th", { scope: "row" }, nameOf(label)), el("td", {}, String(n)))))),
    el("p", { class: "faint" }, `${summary.frames} frames, ${figure(summary.fps)} a second, ${summary.saved} pictures saved.`));
  if (!$("summary").open) $("summary").showModal();
}
