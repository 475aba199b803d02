// Boxes, classes and confidence bars over a picture on a canvas; used by the live view and by "Try it".
import { getLabels, nameOf, signOf } from "./words.js";

// Dark enough for white letters on them, whatever lies behind.
const TONES = ["#00694d", "#a8380a", "#8a5a00", "#5a3f94", "#155a95"];
const UNSURE = "#4d5762";
const SHORT = { with_mask: "mask", without_mask: "none", mask_weared_incorrect: "wrong" };

const toneOf = (label) => { const i = getLabels().indexOf(label); return i < 0 ? UNSURE : TONES[i % TONES.length]; };

// people: as the API gives them, boxes in pixels of the picture; scale: canvas pixels a picture pixel; dpr: sharpness.
export function drawPeople(context, people, scale, dpr, { boxes, bars }) {
  if (!boxes && !bars) return;
  context.save();
  context.textBaseline = "middle";
  for (const one of people) drawOne(context, one, scale, dpr, boxes, bars);
  context.restore();
}

function drawOne(context, one, scale, dpr, boxes, bars) {
  const [x, y, w, h] = one.box.map((value) => value * scale);
  const known = one.certain && one.visitor !== false; // a poster is known by its label too, and counts for nothing
  const tone = known ? toneOf(one.label) : UNSURE;
  const { width, height } = context.canvas;
  if (boxes) {
    context.setLineDash(known ? [] : [7 * dpr, 5 * dpr]);
    context.lineWidth = 5 * dpr; context.strokeStyle = "#0008"; roundBox(context, x, y, w, h, 6 * dpr); context.stroke();
    context.lineWidth = 3 * dpr; context.strokeStyle = brighter(tone); roundBox(context, x, y, w, h, 6 * dpr); context.stroke();
    context.setLineDash([]);
    const best = one.probabilities?.[one.label];
    const words = [one.id != null ? `#${one.id}` : "", known ? `${signOf(one.label)} ${nameOf(one.label)}` : one.certain ? "A picture" : "? Can’t tell",
      known && best != null ? `${Math.round(100 * best)} %` : ""].filter(Boolean).join("  ");
    tag(context, words, x - 1.5 * dpr, y, tone, dpr, width);
  }
  if (bars && one.probabilities) drawBars(context, one, x, y + h, w, dpr, width, height);
}

function tag(context, words, x, y, tone, dpr, width) {
  context.font = `600 ${13 * dpr}px system-ui, sans-serif`;
  const wide = context.measureText(words).width + 14 * dpr; const high = 23 * dpr;
  const left = Math.max(0, Math.min(x, width - wide)); const top = Math.max(0, y - high - 3 * dpr);
  context.fillStyle = tone; roundBox(context, left, top, wide, high, 5 * dpr); context.fill();
  context.fillStyle = "#fff"; context.fillText(words, left + 7 * dpr, top + high / 2 + dpr / 2);
}

function drawBars(context, one, x, bottom, w, dpr, width, height) {
  const row = 15 * dpr; const wide = Math.max(w, 118 * dpr); const entries = Object.entries(one.probabilities);
  const high = entries.length * row + 8 * dpr;
  const left = Math.max(0, Math.min(x + w / 2 - wide / 2, width - wide));
  const top = Math.max(0, Math.min(bottom + 5 * dpr, height - high));
  context.fillStyle = "#000b"; roundBox(context, left, top, wide, high, 5 * dpr); context.fill();
  context.font = `500 ${11 * dpr}px system-ui, sans-serif`;
  entries.forEach(([label, share], i) => {
    const y = top + 4 * dpr + i * row; const from = left + 46 * dpr; const room = wide - 84 * dpr;
    context.fillStyle = "#fff"; context.fillText(SHORT[label] ?? nameOf(label).slice(0, 7), left + 6 * dpr, y + row / 2);
    context.fillStyle = "#fff3"; roundBox(context, from, y + 4 * dpr, room, row - 8 * dpr, 4 * dpr); context.fill();
    context.fillStyle = brighter(toneOf(label)); roundBox(context, from, y + 4 * dpr, Math.max(2 * dpr, room * share), row - 8 * dpr, 4 * dpr); context.fill();
    context.fillStyle = "#fff"; context.textAlign = "right"; context.fillText(`${Math.round(100 * share)} %`, left + wide - 5 * dpr, y + row / 2); context.textAlign = "left";
  });
}

const BRIGHT = { "#00694d": "#2fd6a3", "#a8380a": "#ff7a45", "#8a5a00": "#ffc233", "#5a3f94": "#b79cf0", "#155a95": "#6fb7f0", [UNSURE]: "#d5dce3" };
const brighter = (tone) => BRIGHT[tone];

function roundBox(context, x, y, w, h, radius) {
  context.beginPath(); context.roundRect(x, y, w, h, Math.min(radius, w / 2, h / 2));
}
