/** `Controls` are the settings beside the photograph: they show a request and change it. */

import { TARGETS } from "./boxes.js";
import { choice } from "./choices.js";
import { Combobox } from "./combobox.js";
import { element, make } from "./dom.js";
import { percentOf } from "./words.js";

const PREDICTED = { id: null, label: "The predicted class" };

export class Controls {
  #model;
  #labels;

  /** @param {(change: object) => void} change Called with what the reader changes of the request. */
  constructor(change) {
    this.change = change;
    const parts = { list: element["class-list"], popup: element["class-popup"], note: element["class-note"] };
    this.classes = new Combobox(element.class, parts, ({ id }) => change({ class: id ?? undefined }));
    for (const name of ["output", "layer", "method", "why"]) {
      element[name].addEventListener("change", () => change({ [name]: element[name].value }));
    }
    element.conf.addEventListener("input", () => this.#sayConf());
    element.conf.addEventListener("change", () => change({ conf: +element.conf.value, box: undefined }));
    element.why.replaceChildren(...TARGETS.map((name) => option(name, name === "class" ? "Its class" : `Its ${name} edge`)));
  }

  /** Offer what a model has. */
  describe(model) {
    this.#model = model;
    const detects = model.kind === "detector";
    element["class-field"].hidden = detects;
    element["boxes-name"].hidden = !detects;
    for (const name of ["why", "conf"]) element[`${name}-field`].hidden = !detects;
    this.#fill("output", model.outputs.map((name) => [name, name]));
    if (detects) this.#fill("layer", []);
    else this.#fill("layer", model.layers.map(({ name }) => [name, name]));
    element.ranking.ariaLabel = detects ? "Boxes" : "Most probable classes";
    element.facts.replaceChildren(...factsOf(model).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  #fill(name, entries) {
    element[name].replaceChildren(...entries.map(([value, text]) => option(value, text)));
    element[`${name}-field`].hidden = entries.length < 2;
  }

  /** Show a request, and what it led to, if anything yet. */
  show(ask, answer) {
    const { layers, methods } = this.#model;
    const layer = layers.find(({ name }) => name === ask.layer) ?? layers[0];
    const known = methods.filter(({ id }) => layer.methods?.includes(id) ?? true);
    this.#offerMethods(this.#model.kind === "detector" ? [] : known);
    const labels = this.#model.labels(ask.output);
    if (labels !== this.#labels) {
      this.#labels = labels;
      this.classes.options = [PREDICTED, ...distinct(labels).map((label, id) => ({ id, label }))];
    }
    for (const name of ["output", "layer", "method", "why"]) {
      if (ask[name]) element[name].value = ask[name];
    }
    const first = known.find((method) => method.default) ?? known[0];
    if (!ask.method && first) element.method.value = first.id;
    element.why.value = ask.why ?? "class";
    element.conf.value = ask.conf ?? 0.25;
    this.#sayConf();
    this.classes.show(answer?.shown?.label ?? labels[ask.class] ?? PREDICTED.label);
    this.#rank(answer);
  }

  /** Exchange the ranking's buttons; the focus stays where it is in the list. */
  #rank(answer) {
    const { ranking } = element;
    const focused = [...ranking.children].findIndex((item) => item.contains(document.activeElement));
    ranking.replaceChildren(...this.#ranked(answer));
    ranking.children[focused]?.querySelector("button").focus();
  }

  /** Methods that run the model many times come last, in a group of their own. */
  #offerMethods(methods) {
    this.#fill("method", methods.map(({ id, title }) => [id, title]));
    const often = new Set(methods.filter(({ cost }) => cost === "many runs").map(({ id }) => id));
    const slow = [...element.method.options].filter(({ value }) => often.has(value));
    if (slow.length) element.method.append(make("optgroup", { label: "Many runs: slower" }, ...slow));
  }

  #sayConf() {
    element["conf-value"].textContent = (+element.conf.value).toFixed(2);
  }

  /** The most probable classes and the explained one; of a detector the boxes. */
  #ranked(answer) {
    if (!answer) return [];
    const { predictions, detections, best, shown } = answer;
    if (detections) return this.#boxes(detections, best, shown);
    const missing = shown && !predictions.some((one) => one.class === shown.class);
    return [...predictions, ...(missing ? [shown] : [])].map((one) => {
      const share = one.probability;
      const text = share === undefined || share === null ? (one.score ?? 0).toFixed(3) : percentOf(share);
      const pressed = one.class === shown?.class;
      return choice({ label: one.label ?? `${one.class}`, share: share ?? 0, text, pressed }, () => this.change({ class: one.class }));
    });
  }

  #boxes(detections, best, shown) {
    const offered = detections.map((box, i) => [`${i + 1}  ${box.label}`, box.probability, i + 1]);
    if (!offered.length && best) offered.push([`below the threshold: ${best.label}`, best.probability, 0]);
    return offered.map(([label, share, number]) => {
      const text = share.toFixed(number ? 2 : 3);
      return choice({ label, share, text, pressed: shown?.number === number }, () => this.change({ box: number }));
    });
  }
}

/** Add its number to each label that several classes have. */
function distinct(labels) {
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return labels.map((label, id) => (counts.get(label) > 1 ? `${label} (${id})` : label));
}

const option = (value, text) => make("option", { value }, text);

const verifiedIn = ({ verdict, reference }) => (verdict === "skipped" ? "no" : `${verdict}, against ${reference}`);

/** What is known about a model, for people. */
function factsOf({ name, source, kind, layers, methods, labels, verification, digest }) {
  const count = labels().length;
  const facts = [["Name", name]];
  if (source && source !== name) facts.push(["Made of", `${source.name ?? source}`]);
  facts.push(["Kind", kind === "detector" ? "detector" : count ? `${count} classes` : kind]);
  facts.push(["Layers", layers.map((layer) => layer.name).join(", ")]);
  facts.push(["Methods", methods.map(({ title }) => title).join(", ")]);
  if (verification) facts.push(["Verified", verifiedIn(verification)]);
  if (digest) facts.push(["Fingerprint", digest]);
  return facts;
}
