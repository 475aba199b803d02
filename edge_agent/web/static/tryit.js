// "Try it": pictures go to the device one after the other; the boxes are drawn here, on the picture that was chosen.
import { $, el, problemWords, save, text } from "./dom.js";
import { drawPeople } from "./draw.js";
import { bars } from "./now.js";
import { capital, nameOf, signOf, toneOf } from "./words.js";

const outcomes = [];
let queue = Promise.resolve();
let busy = 0;

export function startTryIt() {
  const drop = $("drop");
  for (const id of ["files", "shot"]) $(id).addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
  // Wherever a picture falls: beside the frame a browser would leave the page for it.
  const brings = (event) => !$("try").hidden && event.dataTransfer?.types.includes("Files");
  for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { if (brings(event)) { event.preventDefault(); drop.classList.add("over"); } });
  for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => { if (brings(event)) { event.preventDefault(); add(event.dataTransfer.files); drop.scrollIntoView({ block: "nearest" }); } });
  document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) add(event.clipboardData.files); });
  $("save-json").addEventListener("click", () => save("maskwatch.json", "application/json", `${JSON.stringify(outcomes, null, 2)}\n`));
  $("save-csv").addEventListener("click", () => save("maskwatch.csv", "text/csv", csv(outcomes)));
  $("try-clear").addEventListener("click", () => { outcomes.length = 0; $("results").replaceChildren(); tell(); });
}

function add(files) {
  for (const file of files) {
    const item = el("li", { data: { state: "waiting" } });
    const words = el("div", { class: "text" }, el("span", { class: "name" }, file.name), el("progress", { max: 1, "aria-label": `Progress of ${file.name}` }));
    item.append(words); $("results").append(item);
    busy += 1;
    queue = queue.then(() => look(file, item, words)).finally(() => { busy -= 1; tell(); });
  }
  tell();
}

async function look(file, item, words) {
  const bar = words.querySelector("progress");
  try {
    const found = await send(file, (share) => { if (share < 1) bar.value = share; else bar.removeAttribute("value"); });
    const picture = await drawn(file, found.faces).catch(() => null); // the device may know a format that this browser does not
    outcomes.push({ image: file.name, faces: found.faces }); item.dataset.state = "done"; item.dataset.faces = found.faces.length;
    if (picture) item.prepend(picture);
    words.replaceChildren(el("span", { class: "name" }, file.name), ...described(found.faces));
  } catch (error) {
    outcomes.push({ image: file.name, error: error.message }); item.dataset.state = "failed";
    words.replaceChildren(el("span", { class: "name" }, file.name), el("span", { class: "error" }, capital(error.message)));
  }
}

// XMLHttpRequest, because fetch tells nothing of an upload's progress. A full queue (429) or a busy device (503) is asked again.
async function send(file, progress) {
  for (let tries = 0; ; tries += 1) {
    const { status, body, wait } = await once(file, progress);
    if (status === 200) return body;
    if (status === 401) location.assign("/login");
    if ((status !== 429 && status !== 503) || tries > 20) throw new Error(problemWords(body, status));
    await new Promise((resolve) => { setTimeout(resolve, 1000 * wait); });
  }
}

function once(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); const form = new FormData();
    form.append("image", file, file.name);
    request.open("POST", "/predict"); request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.onload = () => resolve({ status: request.status, body: request.response, wait: Number(request.getResponseHeader("retry-after")) || 1 });
    request.onerror = () => reject(new Error("the device does not answer, or cut the upload off; try a smaller picture"));
    request.send(form);
  });
}

async function drawn(file, faces) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const width = Math.min(960, Math.max(480, bitmap.width)); const scale = width / bitmap.width;
  const canvas = el("canvas", { width, height: Math.round(bitmap.height * scale), role: "img", "aria-label": summed(faces) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  drawPeople(context, faces, scale, width / 400, { boxes: true, bars: false });
  bitmap.close();
  return canvas;
}

const summed = (faces) => faces.length ? `${faces.length === 1 ? "1 face" : `${faces.length} faces`}: ${faces.map((face) => face.certain ? nameOf(face.label) : "Can’t tell").join(", ")}` : "no face";

function described(faces) {
  if (!faces.length) return [el("span", { class: "faint" }, "No face was found.")];
  return faces.map((face, i) => {
    const label = face.certain ? face.label : "cannot_tell";
    return el("div", { class: toneOf(label) },
      el("div", { class: "person-head" }, el("span", {}, faces.length > 1 ? `Face ${i + 1}` : "Face"), el("b", {}, `${signOf(label)} ${nameOf(label)}`)), bars(face.probabilities));
  });
}

function tell() {
  const bad = outcomes.filter((one) => one.error).length; const faces = outcomes.reduce((sum, one) => sum + (one.faces?.length ?? 0), 0);
  $("try-bar").hidden = !outcomes.length && !busy;
  text("try-words", `${busy ? `${busy} to go. ` : ""}${outcomes.length} done, ${faces} ${faces === 1 ? "face" : "faces"}${bad ? `, ${bad} could not be read` : ""}.`);
  for (const id of ["save-json", "save-csv"]) $(id).disabled = !outcomes.length || busy > 0;
}

export function csv(list) {
  const labels = [...new Set(list.flatMap((one) => (one.faces ?? []).flatMap((face) => Object.keys(face.probabilities))))];
  const rows = [["image", "face", "x", "y", "w", "h", "score", "label", "certain", ...labels, "error"]];
  for (const one of list) {
    if (!one.faces?.length) rows.push([one.image, "", "", "", "", "", "", "", "", ...labels.map(() => ""), one.error ?? ""]);
    (one.faces ?? []).forEach((face, i) => rows.push([one.image, i + 1, ...face.box, face.score, face.label, face.certain, ...labels.map((label) => face.probabilities[label] ?? ""), ""]));
  }
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

// Quoted where needed; a leading = + - @ of a name would be a formula in a spreadsheet.
function cell(value) {
  let words = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(words)) words = `'${words}`;
  return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}
