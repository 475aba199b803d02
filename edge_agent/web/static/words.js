// Words and tones of classes, numbers and times; the one place that names them.
const NAMES = { with_mask: "Mask", without_mask: "No mask", mask_weared_incorrect: "Worn wrongly", cannot_tell: "Can’t tell" };
const SIGNS = { with_mask: "✓", without_mask: "✕", mask_weared_incorrect: "!", cannot_tell: "?" };

let labels = [];
export const setLabels = (list) => { labels = list; };
export const getLabels = () => labels;

export const nameOf = (label) => NAMES[label] ?? label.replaceAll("_", " ");
export const signOf = (label) => SIGNS[label] ?? "•";
export const toneOf = (label) => { const i = labels.indexOf(label); return i < 0 ? "tx" : `t${i % 5}`; };

export const percent = (share, digits = 0) => share == null ? "–" : `${(100 * share).toFixed(digits)} %`;
export const figure = (value, unit = "", digits = 1) => value == null ? "–" : `${Number(value).toFixed(digits)}${unit && ` ${unit}`}`;
export const bytes = (n) => {
  if (n == null) return "–";
  const step = ["B", "kB", "MB", "GB", "TB"]; let i = 0;
  while (n >= 1000 && i < 4) { n /= 1000; i += 1; }
  return `${n.toFixed(n < 10 && i ? 1 : 0)} ${step[i]}`;
};
export const duration = (s) => {
  if (s == null) return "–";
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
};
export const clock = (when) => {
  const d = new Date(when); const today = new Date().toDateString() === d.toDateString();
  return d.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit", second: "2-digit" }
    : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
};
// How a count reads in a sentence.
const PHRASES = { with_mask: "with a mask", without_mask: "without a mask", mask_weared_incorrect: "masked wrongly", cannot_tell: "not clear enough" };
const phrase = (label) => PHRASES[label] ?? label.replaceAll("_", " ");
export const capital = (words) => words && words[0].toUpperCase() + words.slice(1);
export const day = (when) => new Date(when).toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
const people = (n) => n === 1 ? "1 person" : `${n} people`;

// Who is in view, from counts by label.
export function sentence(counts) {
  const some = Object.entries(counts).filter(([, n]) => n); const total = some.reduce((sum, [, n]) => sum + n, 0);
  if (!total) return "Nobody is in view.";
  if (some.length > 1) return `${people(total)} in view: ${some.map(([label, n]) => `${n} ${phrase(label)}`).join(", ")}.`;
  return `${people(total)} in view, ${total > 1 ? "all " : ""}${phrase(some[0][0])}.`;
}
