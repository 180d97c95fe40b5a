/** This file connects the page's controls with the artifact and shows the results. */

import { Artifact } from "./artifact.js";
import { normalise, paint, project } from "./heatmap.js";
import { readImage } from "./image.js";

const LARGEST = 1024; // pixels of the longer drawn side; more would only be slower
const RANKS = 5;
const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));
const backend = new URLSearchParams(location.search).get("backend");

let artifact;
let image;
let queue = Promise.resolve();

/** Run tasks one after another, since a session runs once at a time. A failure is shown. */
function enqueue(task) {
  queue = queue.then(task).catch((error) => say(error.message, true));
  return queue;
}

function say(words, trouble = false) {
  element.status.textContent = words;
  element.status.classList.toggle("trouble", trouble);
}

async function openModel(blob) {
  say("Loading the model …");
  artifact = await Artifact.open(new Uint8Array(await blob.arrayBuffer()), backend);
  const choices = artifact.labels.map((label, id) => new Option(label, id));
  element.class.replaceChildren(new Option("the predicted class", -1), ...choices);
  element.layer.replaceChildren(...artifact.layers.map((name, i) => new Option(name, i)));
  element["layer-field"].hidden = artifact.layers.length < 2;
  say("Ready.");
  if (image) await explain();
}

async function openImage(blob) {
  image = await readImage(blob);
  element.class.value = -1;
  if (artifact) await explain();
}

async function explain() {
  say("Explaining …");
  const found = await artifact.explain(image, +element.class.value, +element.layer.value);
  show(found);
  const place = `on ${artifact.backend === "webgpu" ? "WebGPU" : "WASM"}`;
  say(`Explained in ${found.milliseconds.toFixed(found.milliseconds < 10 ? 1 : 0)} ms ${place}.`);
  // For pages that embed this one.
  document.dispatchEvent(new CustomEvent("explained", { detail: found }));
}

function show(found) {
  const shrunk = Math.min(1, LARGEST / Math.max(image.width, image.height));
  const [height, width] = [image.height, image.width].map((n) => Math.max(1, Math.round(n * shrunk)));
  Object.assign(element.photo, { width, height });
  element.photo.getContext("2d").drawImage(image.bitmap, 0, 0, width, height);
  const drawn = { ...found.placement, image: [height, width] };
  paint(element.heat, project(normalise(found.map), found.grid, drawn), height, width);
  element.frame.classList.add("filled");
  element.caption.textContent = found.map.some((value) => value > 0)
    ? `Evidence for “${found.label}”`
    : `No evidence for “${found.label}” in this image at this layer`;
  element.heat.setAttribute("aria-label", element.caption.textContent);
  rank(found);
  state(found);
}

/** List the most probable classes and the explained one, as buttons that explain the class. */
function rank({ id, score, probabilities }) {
  const known = probabilities ?? [];
  const best = [...known.keys()].sort((a, b) => known[b] - known[a]).slice(0, RANKS);
  const shown = best.includes(id) ? best : [...best, id];
  element.ranking.replaceChildren(
    ...shown.map((one) => {
      const value = probabilities ? known[one] : score;
      const button = document.createElement("button");
      button.type = "button";
      button.ariaPressed = one === id;
      button.append(...["label", "bar", "share"].map((name) => {
        const part = document.createElement("span");
        part.className = name;
        return part;
      }));
      button.children[0].textContent = artifact.labels[one];
      button.children[1].style.setProperty("--share", probabilities ? value : 0);
      button.children[2].textContent = probabilities ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
      button.addEventListener("click", () => {
        element.class.value = one;
        enqueue(explain);
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

function state(found) {
  const { record, layers } = artifact;
  const facts = {
    Model: record.source.name ?? "unnamed",
    Layer: `${layers[+element.layer.value]}, ${found.grid.join(" × ")} cells`,
    Score: found.score.toFixed(3),
    Verified: `${record.verification.verdict} (${record.verification.reference})`,
  };
  element.facts.replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => {
      const [term, detail] = ["dt", "dd"].map((tag) => document.createElement(tag));
      term.textContent = name;
      detail.textContent = value;
      return [term, detail];
    }),
  );
}

function setOpacity() {
  element.heat.style.opacity = element.opacity.value / 100;
  element.percent.value = `${element.opacity.value} %`;
}

const open = (file) => enqueue(() => (file.name.endsWith(".onnx") ? openModel(file) : openImage(file)));

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} is missing; run \`make browser\` to write it.`);
  return answer.blob();
}

/** Show the example images as buttons. */
async function offerExamples() {
  const entries = JSON.parse(await (await fetched("images/index.json")).text());
  const buttons = entries.map(({ file, words }) => {
    const [button, image] = ["button", "img"].map((tag) => document.createElement(tag));
    button.type = "button";
    Object.assign(image, { src: `images/${file}`, alt: words, width: 96, height: 96 });
    button.append(image);
    button.addEventListener("click", () => enqueue(async () => openImage(await fetched(image.src))));
    return button;
  });
  element.examples.replaceChildren(...buttons);
  await openImage(await fetched(`images/${entries[0].file}`));
}

for (const input of [element.image, element.model]) {
  input.addEventListener("change", () => input.files.length && open(input.files[0]));
}
for (const select of [element.class, element.layer]) {
  select.addEventListener("change", () => image && enqueue(explain));
}
element.opacity.addEventListener("input", setOpacity);
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  [...event.dataTransfer.files].forEach(open);
});
setOpacity();
enqueue(async () => openModel(await fetched("model.onnx")));
enqueue(offerExamples);
