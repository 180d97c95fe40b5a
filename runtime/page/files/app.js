/**
 * `start` connects the page with an engine, which explains: local.js in this browser, remote.js by a
 * service.
 *
 * An engine has `promise` (where images go), `examples`, `opensFiles`, `limits` of images, `names()`,
 * `open(name, progress, signal)`, and `explain(image, ask, signal)`.
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

import { askedOf, nameOf, readAddress, writeAddress } from "./address.js";
import { Compare } from "./compare.js";
import { Controls } from "./controls.js";
import { readImage } from "./decode.js";
import { element, make } from "./dom.js";
import { download } from "./download.js";
import { Fault } from "./errors.js";
import { busy, fail, quiet, say } from "./notice.js";
import { exampleAt, isModel, offerExamples, watchSources } from "./sources.js";
import { durationOf } from "./words.js";

/** @param {object} engine See above. */
export async function start(engine) {
  let model;
  let image;
  const asks = [{}, {}];
  const answers = [null, null];
  const turns = [0, 0];
  const running = [new AbortController(), new AbortController()];
  let opening = new AbortController();
  let latest = 0; // the image that was asked for last
  const compare = new Compare({ begin, choose: show, end: show });
  const controls = new Controls((change) => {
    const ask = asks[compare.side];
    if ("output" in change) delete ask.class;
    if ("layer" in change) delete ask.method;
    quiet();
    explain(compare.side, Object.assign(ask, change));
  });

  /** Open a model; return "opened", "failed", or "replaced" where a later one was chosen. */
  async function openModel(name, wanted = {}) {
    opening.abort();
    const { signal } = (opening = new AbortController());
    document.body.dataset.state = "loading";
    element.model.value = name;
    quiet();
    forget();
    busy("Loading the model …");
    const progress = (part) => signal.aborted || busy(part < 1 ? `Loading the model: ${Math.round(100 * part)} %` : "Preparing the model …");
    try {
      const opened = await engine.open(name, progress, signal);
      if (signal.aborted) return "replaced"; // another one was chosen meanwhile
      model = opened;
    } catch (error) {
      if (signal.aborted) return "replaced";
      say("");
      document.body.dataset.state = model ? "ready" : "failed";
      if (model) element.model.value = model.name; // the model that works stays
      fail(error, () => openModel(name, wanted));
      explainAll();
      return "failed";
    }
    document.body.dataset.state = "ready";
    asks.forEach((ask) => Object.keys(ask).forEach((key) => delete ask[key]));
    controls.describe(model);
    const { ask, missing } = askedOf(model, wanted);
    Object.assign(asks[0], ask);
    if (missing.length) fail(new Fault(missing.at(-1)));
    controls.show(asks[compare.side], null);
    element.controls.hidden = !image;
    say("");
    explainAll();
    return "opened";
  }

  /** Take away what is shown: it is of another model, or another image. */
  function forget() {
    [0, 1].forEach(callOff);
    answers.fill(null);
    element.compare.disabled = compare.shown.length < 2;
    element.downloads.hidden = true;
    if (image) compare.panes.forEach((pane) => pane.showImage(image));
  }

  /**
   * Show an image, unless another one is asked for before it is there.
   * @param {Blob|Promise<Blob>} brought
   * @param {() => void} [again] What to do if the reader tries once more.
   */
  async function openImage(brought, again) {
    const turn = ++latest;
    const idle = document.body.dataset.state === "ready";
    quiet();
    if (idle) busy("Reading the image …");
    let read;
    try {
      read = await readImage(await brought, model?.limits ?? engine.limits);
    } catch (error) {
      if (turn !== latest) return;
      if (idle) say("");
      return fail(error, again);
    }
    if (turn !== latest) return read.bitmap.close();
    const before = image;
    image = read;
    showStage();
    forget();
    before?.bitmap.close(); // else its pixels wait for the garbage collector
    // Another image has boxes and likely classes of its own; an address names the class of the first.
    asks.forEach((ask) => ["box", ...(before ? ["class"] : [])].forEach((name) => delete ask[name]));
    explainAll();
  }

  function showStage() {
    const focused = element.start.contains(document.activeElement);
    document.body.dataset.shows = "image";
    element.stage.hidden = false;
    element.controls.hidden = !model;
    element.start.hidden = true;
    if (focused) element.stage.focus();
  }

  const openExample = (address) => openImage(exampleAt(address), () => openExample(address));

  async function explainAll() {
    const first = explain(0, asks[0]);
    if (compare.shown.length < 2) return;
    const turn = turns[0];
    const { class: _class, box: _box, ...settings } = asks[0];
    const differ = JSON.stringify({ ...settings, ...asks[1] }) !== JSON.stringify(settings);
    if (differ) return explain(1, asks[1]);
    await first;
    if (turn === turns[0]) explainNext();
  }

  /** End what is computed for a side; its answer is not shown. */
  function callOff(side) {
    turns[side] += 1;
    running[side].abort();
    delete compare.panes[side].frame.dataset.busy;
  }

  /** Explain for one side; a later request replaces an earlier one. */
  async function explain(side, ask) {
    if (!image || document.body.dataset.state !== "ready") return;
    callOff(side);
    const turn = turns[side];
    running[side] = new AbortController();
    const stop = () => {
      callOff(side);
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
      pane.show(answer, model, (number) => {
        quiet();
        explain(side, Object.assign(ask, { box: number }));
      });
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
    writeAddress({ ...ask, class: nameOf(model, ask.output, id), model: element.model.options.length > 1 ? model.name : undefined });
    element.downloads.hidden = !answers[compare.side]?.shown;
    element.compare.disabled = !answers[0] && compare.shown.length < 2;
  }

  function begin() {
    quiet();
    answers[1] = null; // of an earlier comparison
    compare.panes[1].showImage(image);
    explainNext();
  }

  /** Let the second explanation be about the next class, or the next box. */
  function explainNext() {
    const [{ predictions = [], detections, shown } = {}] = [answers[0] ?? {}];
    const next = predictions.find((one) => one.class !== shown?.class)?.class;
    const box = detections?.length > 1 ? (asks[0].box === 2 ? 1 : 2) : undefined;
    asks[1] = { ...asks[0], ...(detections ? { box } : { class: next ?? asks[0].class }) };
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
      const opened = await openModel(named, wanted);
      if (opened === "opened" && wanted.model && named !== wanted.model) fail(new Fault(`There is no model “${wanted.model}” here; ${named} is shown.`));
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
    if ((await openModel(name)) === "failed") option.remove();
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
  watchSources((file) => (engine.opensFiles && isModel(file) ? openFile(file) : openImage(file)), fail);
  setOpacity();
  await begins();
}

function setOpacity() {
  element.percent.textContent = `${element.opacity.value} %`;
  element.panes.style.setProperty("--opacity", element.opacity.value / 100);
}
