// What is so at this moment: the verdict on top, the counts, each person with a bar for every class.
import { $, el, text } from "./dom.js";
import { capital, getLabels, nameOf, percent, sentence, setLabels, signOf, toneOf } from "./words.js";

const TITLES = { ok: "Working", degraded: "Working, with a fault", failing: "Not counting" };

export function showNow(now) {
  setLabels(now.labels);
  text("device", now.device);
  text("version", `Maskwatch ${now.version}`);
  $("logout").hidden = !now.login;
  verdict(now);
  counts(now.people);
  persons(now.cameras.flatMap((camera) => camera.tracks.filter((track) => track.seen && track.visitor).map((track) => ({ ...track, camera: now.cameras.length > 1 ? camera.name : "" }))));
  document.title = `${now.health === "ok" ? "" : "⚠ "}${now.device || "Maskwatch"} · Maskwatch`;
}

function verdict(now) {
  const health = now.ready || now.health === "failing" ? now.health : "waiting";
  const title = health === "waiting" ? "Starting…" : TITLES[health];
  const reasons = now.reasons.map((reason) => `${capital(reason)}.`).join(" ");
  tell(health, title, reasons || sentence(now.people), reasons);
}

// Read aloud when the state changes, not with everybody who walks by.
function tell(health, title, words, aloud) {
  $("verdict").dataset.health = health;
  text("verdict-title", title); text("verdict-words", words); text("verdict-aloud", `${title}. ${aloud}`);
}

// Why nothing is heard of the device.
export const ENDED = { health: "waiting", title: "The agent has stopped", words: "What is shown is the last it said." };
export const CUT = { health: "failing", title: "No connection to the device", words: "What is shown is old. This page tries again by itself." };
export const FULL = { health: "waiting", title: "Too many viewers", words: "The device serves no more of them; close another page. This one tries again by itself." };

export const lost = ({ health, title, words }) => tell(health, title, words, words);

function counts(people) {
  const list = $("counts");
  for (const [label, n] of Object.entries(people)) {
    let item = list.querySelector(`[data-label="${CSS.escape(label)}"]`);
    if (!item) {
      item = el("li", { class: toneOf(label), data: { label } }, el("b", {}), sign(label), el("span", {}, nameOf(label)));
      list.append(item);
    }
    item.dataset.some = n > 0;
    if (item.firstChild.textContent !== String(n)) item.firstChild.textContent = n;
  }
}

// Told apart without colour too; read aloud is the name beside it.
export const sign = (label) => el("i", { class: "sign", "aria-hidden": "true" }, signOf(label));

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
