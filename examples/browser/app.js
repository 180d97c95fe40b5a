/** This file connects the page's controls with the artifact and shows the results. */

import { Artifact } from "./artifact.js";
import { TARGETS } from "./boxes.js";
import { choice, drawBoxes } from "./choices.js";
import { normalise, paint, project } from "./heatmap.js";
import { readImage } from "./image.js";

const LARGEST = 1024; // pixels of the longer drawn side; more would only be slower
const RANKS = 5;
const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));
const backend = new URLSearchParams(location.search).get("backend");

let artifact;
let image;
let found; // of a detector: the image's boxes, the best candidate, and the explained box
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
  found = undefined;
  say("Loading the model …");
  artifact = await Artifact.open(new Uint8Array(await blob.arrayBuffer()), backend);
  const choices = artifact.labels.map((label, id) => new Option(label, id));
  element.class.replaceChildren(new Option("the predicted class", -1), ...choices);
  element.layer.replaceChildren(...artifact.layers.map((name, i) => new Option(name, i)));
  element["layer-field"].hidden = artifact.detects || artifact.layers.length < 2;
  element["class-field"].hidden = artifact.detects;
  element["why-field"].hidden = !artifact.detects;
  element.choices.textContent = artifact.detects ? "Boxes" : "Classes";
  element.boxes.replaceChildren();
  say("Ready.");
  if (image) await begin();
}

async function openImage(blob) {
  image = await readImage(blob);
  if (artifact) await begin();
}

/** Explain an image's predicted class; of a detector its best box. */
async function begin() {
  element.class.value = -1;
  if (!artifact.detects) return explain();
  element.why.value = 0;
  say("Detecting …");
  found = await artifact.detect(image);
  found.chosen = found.boxes[0];
  return found.chosen ? explain() : showNothing();
}

/** Say that no box reaches the threshold, and offer the best candidate. */
function showNothing() {
  const { label, probability } = found.best;
  drawImage();
  element.heat.getContext("2d").clearRect(0, 0, element.heat.width, element.heat.height);
  element.caption.textContent =
    `No box in this image; the best candidate is “${label}” with ${probability.toFixed(3)}`;
  element.facts.replaceChildren();
  listBoxes();
  say("Detected nothing.");
  document.dispatchEvent(new CustomEvent("explained", { detail: { ...found, map: [] } }));
}

async function explain() {
  say("Explaining …");
  const shown = artifact.detects
    ? await artifact.explainBox(image, found.chosen, +element.why.value)
    : await artifact.explain(image, +element.class.value, +element.layer.value);
  show(shown);
  const place = `on ${artifact.backend === "webgpu" ? "WebGPU" : "WASM"}`;
  say(`Explained in ${shown.milliseconds.toFixed(shown.milliseconds < 10 ? 1 : 0)} ms ${place}.`);
  // For pages that embed this one.
  document.dispatchEvent(new CustomEvent("explained", { detail: { ...found, ...shown } }));
}

/** Draw the image and return its drawn height and width. */
function drawImage() {
  const shrunk = Math.min(1, LARGEST / Math.max(image.width, image.height));
  const [height, width] = [image.height, image.width].map((n) => Math.max(1, Math.round(n * shrunk)));
  Object.assign(element.photo, { width, height });
  element.photo.getContext("2d").drawImage(image.bitmap, 0, 0, width, height);
  element.frame.classList.add("filled");
  return [height, width];
}

function show(shown) {
  const [height, width] = drawImage();
  const drawn = { ...shown.placement, image: [height, width] };
  paint(element.heat, project(normalise(shown.map), shown.grid, drawn), height, width);
  const [about, share] = [subject(shown), shown.share];
  element.caption.textContent = shown.map.some((value) => value > 0)
    ? `Evidence for ${about}${share == null ? "" : `; ${(100 * share).toFixed(0)} % of it lies in the box`}`
    : `No evidence for ${about} in this image at this layer`;
  element.heat.setAttribute("aria-label", element.caption.textContent);
  if (shown.box) listBoxes();
  else rank(shown);
  state(shown);
}

/** What is explained, in words. */
function subject({ label, box }) {
  if (!box) return `“${label}”`;
  const [place, edge] = [found.boxes.indexOf(box) + 1, TARGETS[+element.why.value]];
  const name = place ? `box ${place}, “${label}”` : `a candidate, “${label}”`;
  return edge === "class" ? name : `the ${edge} edge of ${name}`;
}

/** List the boxes as buttons and draw them over the image; without any, the best candidate. */
function listBoxes() {
  const { boxes, best, chosen } = found;
  const pick = (box) => {
    found.chosen = box;
    return enqueue(explain);
  };
  const offered = boxes.length ? boxes : [best];
  element.ranking.replaceChildren(
    ...offered.map((box, i) => {
      const [share, pressed] = [box.probability, box === chosen];
      const label = boxes.length ? `${i + 1} ${box.label}` : `below the threshold: ${box.label}`;
      const text = share.toFixed(boxes.length ? 2 : 3);
      return choice({ label, share, text, pressed }, () => pick(box));
    }),
  );
  drawBoxes(element.boxes, boxes.length || !chosen ? boxes : [chosen], image, chosen, pick);
}

/** List the most probable classes and the explained one, as buttons that explain the class. */
function rank({ id, score, probabilities }) {
  const known = probabilities ?? [];
  const best = [...known.keys()].sort((a, b) => known[b] - known[a]).slice(0, RANKS);
  const shown = best.includes(id) ? best : [...best, id];
  element.ranking.replaceChildren(
    ...shown.map((one) => {
      const value = probabilities ? known[one] : score;
      const text = probabilities ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
      const share = probabilities ? value : 0;
      return choice({ label: artifact.labels[one], share, text, pressed: one === id }, () => {
        element.class.value = one;
        enqueue(explain);
      });
    }),
  );
}

function state(shown) {
  const { record, layers } = artifact;
  const { verdict, reference } = record.verification;
  const facts = {
    Model: record.source.name ?? "unnamed",
    Layer: `${artifact.detects ? layers.join(" + ") : layers[+element.layer.value]}, ${shown.grid.join(" × ")} cells`,
    ...scored(shown),
    Verified: verdict === "skipped" ? "no" : `${verdict} (${reference})`,
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

/** What was differentiated: a class's score, or where an edge is. */
function scored({ box, score }) {
  const edge = box && +element.why.value;
  return edge ? { Edge: `${score.toFixed(1)} pixels of the model's input` } : { Score: score.toFixed(3) };
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
element.why.replaceChildren(...TARGETS.map((name, i) => new Option(i ? `the ${name} edge` : "the class", i)));
for (const select of [element.class, element.layer, element.why]) {
  const ready = () => image && (!artifact.detects || found.chosen);
  select.addEventListener("change", () => ready() && enqueue(explain));
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
