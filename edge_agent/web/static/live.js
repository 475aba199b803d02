// The live view: reads the multipart stream itself, so that each picture carries the boxes that belong to it.
import { inOrder } from "./device.js";
import { $, el, problemWords, text } from "./dom.js";
import { drawPeople } from "./draw.js";
import { capital, figure, sentence } from "./words.js";

const decoder = new TextDecoder();

export class LiveView {
  constructor() {
    this.canvas = $("picture"); this.context = this.canvas.getContext("2d");
    this.show = { boxes: true, bars: true, figures: false }; this.paused = false; this.camera = null;
    this.frame = null; this.bitmap = null; this.abort = null; this.stats = {}; this.allowed = true; this.refused = ""; this.shown = 0; this.fps = 0; this.since = performance.now();
    new ResizeObserver(() => this.paint()).observe($("stage"));
    document.addEventListener("visibilitychange", () => this.restart());
    window.addEventListener("pagehide", () => this.stop());
  }

  restart() {
    this.stop();
    if (this.paused || document.hidden || !this.allowed) return;
    this.abort = new AbortController();
    this.run(this.abort.signal);
  }

  stop() { this.abort?.abort(); this.abort = null; }

  choose(camera) { this.camera = camera; this.restart(); }

  pause(paused) { this.paused = paused; $("paused").hidden = !paused; this.restart(); }

  async run(signal) {
    for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 5000)) {
      try {
        const query = this.camera ? `?camera=${encodeURIComponent(this.camera)}` : "";
        const answer = await fetch(`/live.mjpg${query}`, { signal });
        this.refused = answer.status === 429 ? await problem(answer) : "";
        if (answer.ok) { wait = 500; await this.read(answer.body.getReader(), signal); }
        else if (answer.status === 403) { this.allowed = false; this.say("off", await problem(answer)); return; }
      } catch { /* the page's status says what is wrong; here it is only tried again */ }
      if (!signal.aborted) await new Promise((resolve) => { setTimeout(resolve, wait); });
    }
  }

  async read(reader, signal) {
    let held = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      held = joined(held, value);
      for (let part; (part = take(held)) != null;) {
        held = held.subarray(part.end);
        if (signal.aborted) return;
        await this.picture(part);
      }
    }
  }

  async picture({ jpeg, frame }) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    this.bitmap?.close(); this.bitmap = bitmap; this.frame = frame; this.shown += 1;
    if ($("stage").dataset.state === "waiting") this.say("on", "");
    const seconds = (performance.now() - this.since) / 1000;
    if (seconds > 2) { this.fps = this.shown / seconds; this.shown = 0; this.since = performance.now(); }
    this.paint();
  }

  // The camera's state, from the stream of changes: a picture that stands still must not look alive.
  state(camera) {
    if (!this.allowed) return;
    if (camera.status !== "online" && camera.status !== "moved") this.say("bad", `${camera.name} is ${camera.status}${camera.reason ? `: ${camera.reason}` : ""}`);
    else if (this.refused) this.say("waiting", this.refused);
    else if (this.bitmap) this.say("on", "");
    else this.say("waiting", "Waiting for the first picture…");
  }

  // Nothing is heard of the device any more.
  lost(words) { if (this.allowed) this.say("bad", words); }

  say(state, words) { $("stage").dataset.state = state; text("stage-words", words); }

  paint() {
    const { bitmap, frame, canvas } = this;
    if (!bitmap || !frame) return;
    const dpr = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(160, Math.round(($("stage").clientWidth || bitmap.width) * dpr));
    const height = Math.round(width * bitmap.height / bitmap.width);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(bitmap, 0, 0, width, height);
    const seen = frame.tracks.filter((track) => track.seen); // where somebody is only expected, there is nothing to draw
    drawPeople(this.context, seen, width / frame.size[0], dpr, this.show);
    canvas.dataset.frame = frame.frame; canvas.dataset.people = seen.length; canvas.dataset.sure = seen.filter((track) => track.certain).length; canvas.dataset.boxes = this.show.boxes; canvas.dataset.bars = this.show.bars;
    canvas.setAttribute("aria-label", `The camera’s picture. ${sentence(frame.people)}`);
    if (this.show.figures) this.figures();
  }

  figures() {
    const box = $("figures"); box.hidden = !this.show.figures;
    if (box.hidden || !this.frame) return;
    const rows = [["camera", figure(this.frame.fps, "/s")], ["shown here", figure(this.fps || null, "/s")], ["frame", this.frame.frame],
      ["size", this.frame.size.join(" × ")], ...inOrder(this.stats.latency_ms ?? {}).map(([stage, times]) => [stage, figure(times.p50, "ms")])];
    box.replaceChildren(...rows.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, String(value))]));
  }
}

const problem = async (answer) => capital(problemWords(await answer.json(), answer.status));

function joined(a, b) {
  if (!a.length) return b;
  const out = new Uint8Array(a.length + b.length); out.set(a); out.set(b, a.length); return out;
}

// One whole part from the start of the bytes, or null; `end` is where the next begins.
function take(bytes) {
  const head = headEnd(bytes);
  if (head < 0) return null;
  const lines = decoder.decode(bytes.subarray(0, head));
  const length = Number(/content-length: (\d+)/i.exec(lines)?.[1]);
  const from = head + 4; const end = from + length;
  if (!(length >= 0) || bytes.length < end) return null;
  return { jpeg: bytes.slice(from, end), frame: JSON.parse(/x-frame: (.*)/i.exec(lines)[1]), end };
}

function headEnd(bytes) {
  for (let i = 0; i + 3 < bytes.length && i < 65536; i += 1) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i;
  }
  return -1;
}
