// Joins the parts: one stream of changes from the device feeds all of them.
import { showCameras, showModels, showStats, showSummary } from "./device.js";
import { $, el, getJson, text } from "./dom.js";
import { LiveView } from "./live.js";
import { CUT, ENDED, FULL, lost, showNow } from "./now.js";
import { anew, offerLabels, onVisit, refreshHistory, startPast } from "./past.js";
import { startTryIt } from "./tryit.js";
import { percent } from "./words.js";

const live = new LiveView();
let ended = false;
let begun = false;

function onNow(now) {
  showNow(now);
  showCameras(now.cameras);
  cameraChoice(now.cameras);
  const camera = now.cameras.find((one) => one.name === live.camera) ?? now.cameras[0];
  if (!now.live && live.allowed) { live.allowed = false; live.stop(); live.say("off", "The live view is off on this device."); }
  if (camera) {
    live.state(camera);
    $("progress").hidden = camera.progress == null;
    if (camera.progress != null) text("progress", `${percent(camera.progress)} of the clip`);
  }
  $("try").hidden = !now.predict; document.querySelector('nav a[href="#try"]').hidden = !now.predict;
  if (!begun) { begun = true; offerLabels(); live.restart(); refreshHistory(); anew(); showModels(); getJson("/stats").then(onStats, () => {}); }
}

function onStats(stats) { live.stats = stats; showStats(stats); if (live.show.figures) live.figures(); }

function cameraChoice(cameras) {
  $("camera-choice").hidden = cameras.length < 2;
  const select = $("camera");
  if ([...select.options].map((one) => one.value).join("\n") !== cameras.map((camera) => camera.name).join("\n")) select.replaceChildren(...cameras.map((camera) => el("option", { value: camera.name }, camera.name)));
}

function listen() {
  const source = new EventSource("/events/stream");
  const on = (kind, handle) => source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  on("now", (now) => { ended = false; onNow(now); });
  on("stats", onStats);
  on("visit", onVisit);
  on("summary", showSummary);
  on("bye", () => { ended = true; gone(ENDED); });
  source.onerror = async () => {
    begun = false; // what comes next may be another run, with other models
    gone(ended ? ENDED : CUT);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
    const answer = await fetch("/events/stream", { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) location.assign("/login");
    if (answer?.status === 429) gone(FULL);
  };
}

function gone(why) { lost(why); live.lost(why.title); }

function press(button, on) { button.setAttribute("aria-pressed", String(on)); }

function toggles() {
  for (const name of ["boxes", "bars", "figures"]) {
    const button = $(`toggle-${name}`);
    const saved = localStorage.getItem(`show-${name}`);
    if (saved != null) live.show[name] = saved === "true";
    press(button, live.show[name]);
    button.addEventListener("click", () => {
      live.show[name] = !live.show[name]; localStorage.setItem(`show-${name}`, live.show[name]);
      press(button, live.show[name]); live.paint(); live.figures();
    });
  }
  $("toggle-pause").addEventListener("click", () => { live.pause(!live.paused); press($("toggle-pause"), live.paused); });
  $("toggle-full").hidden = !document.fullscreenEnabled; // not on an iPhone
  $("toggle-full").addEventListener("click", () => { (document.fullscreenElement ? document.exitFullscreen() : $("live").requestFullscreen()).catch(() => {}); });
  document.addEventListener("fullscreenchange", () => press($("toggle-full"), document.fullscreenElement != null));
  $("camera").addEventListener("change", () => live.choose($("camera").value));
  $("theme").addEventListener("click", () => theme(isDark() ? "light" : "dark"));
  $("help-open").addEventListener("click", () => $("help").showModal());
}

const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function theme(name) {
  if (name) { document.documentElement.dataset.theme = name; localStorage.setItem("theme", name); }
}

function keys() {
  const buttons = { b: "toggle-boxes", c: "toggle-bars", s: "toggle-figures", p: "toggle-pause", f: "toggle-full", d: "theme", "?": "help-open" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog[open]")) return;
    const id = buttons[event.key];
    if (id) { event.preventDefault(); $(id).click(); }
  });
}

theme(localStorage.getItem("theme"));
toggles();
keys();
startPast();
startTryIt();
listen();
