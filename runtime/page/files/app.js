/**
 * `start` connects the page with an engine, which explains: local.js in this browser, remote.js by a
 * service.
 *
 * An engine has `promise` (where images go), `examples`, `opensFiles`, `names()`, `open(name)`, and
 * `explain(image, ask, signal)`.
 *
 * @typedef {object} Ask What is asked about an image; what is left out is the engine's choice.
 * @property {number} [class] @property {string} [output] @property {string} [layer]
 * @property {string} [method] @property {number} [box] From 1; 0 is the best candidate.
 * @property {string} [why] @property {number} [conf]
 *
 * @typedef {object} Answer
 * @property {object|null} shown The explanation: class, label, score, method, layer, signed, map,
 *   grid, place; null where a detector found nothing.
 * @property {object[]} predictions The best classes: class, label, probability.
 * @property {object[]} [detections] A detector's boxes, the best first: label, probability, corners.
 * @property {object|null} [best] Its best candidate.
 * @property {number} milliseconds @property {string} where
 */

import { readAddress, writeAddress } from "./address.js";
import { Compare } from "./compare.js";
import { Controls } from "./controls.js";
import { readImage } from "./decode.js";
import { element, make } from "./dom.js";
import { download } from "./download.js";
import { Fault } from "./errors.js";
import { busy, fail, quiet, say } from "./notice.js";
import { offerExamples, watchSources } from "./sources.js";
import { durationOf } from "./words.js";

/** @param {object} engine See above. */
export async function start(engine) {
  let model;
  let image;
  const asks = [{}, {}];
  const answers = [null, null];
  const turns = [0, 0];
  const running = [new AbortController(), new AbortController()];
  const compare = new Compare({ begin, choose: show, end: show });
  const controls = new Controls((change) => {
    const ask = asks[compare.side];
    if ("output" in change) delete ask.class;
    if ("layer" in change) delete ask.method;
    explain(compare.side, Object.assign(ask, change));
  });

  async function openModel(name, wanted = {}) {
    document.body.dataset.state = "loading";
    element.model.value = name;
    quiet();
    forget();
    busy("Loading the model …");
    try {
      model = await engine.open(name, (part) => busy(part < 1 ? `Loading the model: ${Math.round(100 * part)} %` : "Preparing the model …"));
    } catch (error) {
      say("");
      document.body.dataset.state = model ? "ready" : "failed";
      if (model) element.model.value = model.name; // the model that works stays
      fail(error, () => openModel(name, wanted));
      if (model && image) explainAll();
      return false;
    }
    document.body.dataset.state = "ready";
    asks.forEach((ask) => Object.keys(ask).forEach((key) => delete ask[key]));
    controls.describe(model);
    Object.assign(asks[0], understood(wanted));
    controls.show(asks[compare.side], null);
    say("");
    if (image) explainAll();
    return true;
  }

  /** Take away what is shown: it is of another model, or another image. */
  function forget() {
    answers.fill(null);
    element.compare.disabled = compare.shown.length < 2;
    element.downloads.hidden = true;
    if (image) compare.panes.forEach((pane) => pane.showImage(image));
  }

  /** Return what an address asks for as far as the model has it, and say what it has not. */
  function understood({ class: named, output, layer, method }) {
    const ask = {};
    const known = { output: model.outputs, layer: model.layers.map((one) => one.name), method: model.methods.map((one) => one.id) };
    for (const [name, value] of Object.entries({ output, layer, method })) {
      if (value === undefined) continue;
      if (known[name].includes(value)) ask[name] = value;
      else fail(new Fault(`${model.name} has no ${name} “${value}”; the first one is shown.`));
    }
    if (named !== undefined && model.kind !== "detector") {
      const labels = model.labels(ask.output);
      const id = labels.includes(named) ? labels.indexOf(named) : /^\d+$/.test(named) && labels[+named] !== undefined ? +named : -1;
      if (id >= 0) ask.class = id;
      else fail(new Fault(`${model.name} has no class “${named}”; the predicted one is shown.`));
    }
    return ask;
  }

  async function openImage(blob) {
    quiet();
    let read;
    try {
      read = await readImage(blob, model?.limits);
    } catch (error) {
      return fail(error);
    }
    image = read;
    document.body.dataset.shows = "image";
    for (const part of [element.stage, element.controls]) part.hidden = false;
    element.start.hidden = true;
    forget();
    asks.forEach((ask) => delete ask.box);
    if (model) explainAll();
  }

  async function openExample(address) {
    try {
      const blob = await (await fetch(address)).blob();
      await openImage(new File([blob], address.split("/").at(-1), { type: blob.type }));
    } catch {
      fail(new Fault(`${address} cannot be loaded.`, { retry: true }), () => openExample(address));
    }
  }

  function explainAll() {
    compare.shown.forEach((side) => explain(side, asks[side]));
  }

  /** Explain for one side; a later request replaces an earlier one. */
  async function explain(side, ask) {
    if (!image) return;
    quiet();
    const turn = ++turns[side];
    running[side].abort();
    running[side] = new AbortController();
    const stop = () => {
      turns[side] += 1;
      running[side].abort();
      delete pane.frame.dataset.busy;
      show();
      say("Stopped.");
    };
    busy(model.kind === "detector" && !answers[side] ? "Detecting …" : "Explaining …", stop);
    const pane = compare.panes[side];
    pane.frame.dataset.busy = "true";
    try {
      const answer = await engine.explain(image, { ...ask }, running[side].signal);
      if (turn !== turns[side]) return;
      answers[side] = answer;
      pane.show(answer, model, (number) => explain(side, Object.assign(ask, { box: number })));
      show();
      say(answer.shown ? `Explained in ${durationOf(answer.milliseconds)} ${answer.where}.` : "Detected nothing.");
      document.dispatchEvent(new CustomEvent("explained", { detail: { side, ...answer } })); // for pages that embed this one
    } catch (error) {
      if (turn !== turns[side]) return;
      say("");
      fail(error, () => explain(side, ask));
    } finally {
      if (turn === turns[side]) delete pane.frame.dataset.busy;
    }
  }

  /** Show the settings of the side that is chosen. */
  function show() {
    controls.show(asks[compare.side], answers[compare.side]);
    const { class: id, ...ask } = asks[0];
    const label = id === undefined ? undefined : model.labels(ask.output)[id] ?? id;
    writeAddress({ ...ask, class: label, model: element.model.options.length > 1 ? model.name : undefined });
    element.downloads.hidden = !answers[compare.side]?.shown;
    element.compare.disabled = !answers[0] && compare.shown.length < 2;
  }

  /** Begin to compare: the second explanation is about the next class, or the next box. */
  function begin() {
    const [{ predictions = [], detections, shown } = {}] = [answers[0] ?? {}];
    const next = predictions.find((one) => one.class !== shown?.class)?.class;
    const box = detections?.length > 1 ? (asks[0].box === 2 ? 1 : 2) : undefined;
    asks[1] = { ...asks[0], ...(detections ? { box } : { class: next ?? asks[0].class }) };
    compare.panes[1].showImage(image);
    explain(1, asks[1]);
  }

  async function begins() {
    try {
      const names = await engine.names();
      element.model.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
      element.model.disabled = names.length < 2;
      offerExamples(engine.examples, openExample);
      if (!names.length) throw new Fault("There is no model here.", { retry: true });
      const wanted = readAddress();
      const named = names.includes(wanted.model) ? wanted.model : names[0];
      await openModel(named, wanted);
      if (wanted.model && named !== wanted.model) fail(new Fault(`There is no model “${wanted.model}” here; ${named} is shown.`));
    } catch (error) {
      busy("");
      document.body.dataset.state = "failed";
      fail(error, begins);
    }
  }

  element.promise.textContent = engine.promise;
  element["open-field"].hidden = !engine.opensFiles;
  element.open.addEventListener("change", () => {
    const [file] = element.open.files;
    element.open.value = "";
    if (file) openFile(file);
  });
  async function openFile(file) {
    const name = engine.addFile(file);
    const option = make("option", { value: name }, name);
    const known = [...element.model.options].some(({ value }) => value === name);
    if (!known) element.model.append(option);
    if (!(await openModel(name))) option.remove();
    element.model.disabled = element.model.options.length < 2;
  }
  element.model.addEventListener("change", () => openModel(element.model.value));
  element.opacity.addEventListener("input", setOpacity);
  for (const button of element.downloads.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const side = compare.side;
      const about = { image, model, answer: answers[side], opacity: element.opacity.value / 100 };
      download(button.dataset.file, compare.panes[side], about).catch((error) => fail(error));
    });
  }
  const isModel = (file) => engine.opensFiles && file.name?.endsWith(".onnx");
  watchSources((file) => (isModel(file) ? openFile(file) : openImage(file)), fail);
  setOpacity();
  await begins();
}

function setOpacity() {
  element.percent.textContent = `${element.opacity.value} %`;
  element.panes.style.setProperty("--opacity", element.opacity.value / 100);
}
