// What is so at this moment: the verdict on top, the counts, each person with a bar for every class.
import { $, el, text } from "./dom.js";
import { getLabels, nameOf, phrase, people as peopleWords, percent, setLabels, signOf, toneOf } from "./words.js";

const TITLES = { ok: "Working", degraded: "Working, with a fault", failing: "Not counting" };

export function showNow(now) {
  setLabels(now.labels);
  text("device", now.device);
  text("version", `Maskwatch ${now.version}`);
  $("logout").hidden = !now.login;
  verdict(now);
  counts(now.people);
  persons(now.cameras.flatMap((camera) => camera.tracks.map((track) => ({ ...track, camera: now.cameras.length > 1 ? camera.name : "" }))));
  document.title = `${now.health === "ok" ? "" : "⚠ "}${now.device || "Maskwatch"} · Maskwatch`;
}

function verdict(now) {
  const health = now.ready || now.health === "failing" ? now.health : "waiting";
  $("verdict").dataset.health = health;
  text("verdict-title", health === "waiting" ? "Starting…" : TITLES[health]);
  text("verdict-words", now.reasons.length ? now.reasons.join(". ") : sentence(now));
}

export function lost(ended) {
  $("verdict").dataset.health = ended ? "waiting" : "failing";
  text("verdict-title", ended ? "The agent has stopped" : "No connection to the device");
  text("verdict-words", ended ? "What is shown is the last it said." : "What is shown is old. This page tries again by itself.");
}

function sentence(now) {
  const n = Object.values(now.people).reduce((a, b) => a + b, 0);
  if (!n) return "Nobody is in view.";
  const parts = Object.entries(now.people).filter(([, count]) => count).map(([label, count]) => `${count} ${phrase(label)}`);
  return `${peopleWords(n)} in view: ${parts.join(", ")}.`;
}

function counts(people) {
  const list = $("counts");
  for (const [label, n] of Object.entries(people)) {
    let item = list.querySelector(`[data-label="${CSS.escape(label)}"]`);
    if (!item) {
      item = el("li", { class: toneOf(label), data: { label } }, el("b", {}), el("span", {}, `${signOf(label)} ${nameOf(label)}`));
      list.append(item);
    }
    item.dataset.some = n > 0;
    if (item.firstChild.textContent !== String(n)) item.firstChild.textContent = n;
  }
}

function persons(tracks) {
  $("nobody").hidden = tracks.length > 0;
  $("people").replaceChildren(...tracks.map((track) => {
    const label = track.certain ? track.label : "cannot_tell";
    return el("li", { class: toneOf(label) },
      el("div", { class: "person-head" }, el("span", {}, `#${track.id}${track.camera && ` · ${track.camera}`}`), el("b", {}, `${signOf(label)} ${nameOf(label)}`)),
      bars(track.probabilities));
  }));
}

// A bar for every class, with its figure in words beside it.
export function bars(probabilities) {
  return el("div", { class: "bars" }, ...getLabels().filter((label) => label in probabilities).flatMap((label) => [
    el("span", {}, nameOf(label)),
    el("span", { class: `track ${toneOf(label)}` }, el("span", { class: "fill", "width%": 100 * probabilities[label] })),
    el("span", { class: "number" }, percent(probabilities[label])),
  ]));
}
