// Making elements without markup in strings, so that nothing that was sent is ever read as HTML.
export const $ = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  fill(node, attributes, children);
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(node, attributes, children);
  return node;
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (key === "data") Object.assign(node.dataset, value);
    else if (key === "width%") node.style.width = `${value}%`;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
}

export const text = (id, words) => { const node = $(id); if (node.textContent !== words) node.textContent = words; };

export const pairs = (entries) => el("dl", { class: "pairs" }, ...entries.filter(([, value]) => value != null && value !== "")
  .flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, String(value))]));

export async function getJson(address) {
  const answer = await fetch(address, { headers: { accept: "application/json" } });
  if (answer.status === 401) location.assign("/login");
  const body = await answer.json();
  if (!answer.ok && answer.status !== 503) throw new Error(problemWords(body, answer.status));
  return body;
}

export const problemWords = (body, status) => body?.detail ? `${body.detail}; ${body.remedy}` : `the device answered ${status}`;

export function save(name, kind, content) {
  const address = URL.createObjectURL(new Blob([content], { type: kind }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
