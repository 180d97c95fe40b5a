/** `LocalEngine` explains in this browser, by onnxruntime-web; what it takes, page.json lists. */

import { start } from "./app.js";
import { Artifact } from "./artifact.js";
import { TARGETS } from "./boxes.js";
import { Fault } from "./errors.js";
import { pixelsOf } from "./preprocess.js";

const BEST = 5;
const PIXELS = 50e6; // more would need gigabytes of a browser's memory

class LocalEngine {
  promise = "Everything is computed in this browser. No image leaves it.";
  opensFiles = true;
  limits = { pixels: PIXELS };
  #list;
  #artifact;
  #titles = {};
  #opened = new Map(); // models that were opened from files, by name
  #detected = new WeakMap(); // an image's boxes
  #readable = new WeakMap(); // images as artifacts take them
  #queue = Promise.resolve();
  #asked = new URLSearchParams(location.search).get("backend");

  /** Names of the models that the page can show. */
  async names() {
    const listed = await (await fetched("page.json")).json();
    this.#list = listed.models;
    this.#titles = listed.methods ?? {};
    this.examples = listed.images.map(({ file, words }) => ({ address: `images/${file}`, words }));
    return [...this.#list.map(({ name }) => name), ...this.#opened.keys()];
  }

  /**
   * Open a model.
   * @param {string} name One of `names`.
   * @param {(share: number) => void} progress Called with the share that is loaded.
   * @param {AbortSignal} signal Another model is wanted instead.
   * @returns {Promise<object>} As `GET /api/models/{name}` of the service describes it.
   */
  async open(name, progress, signal) {
    const file = this.#opened.get(name);
    if (file) return this.#describe(name, new Uint8Array(await file.arrayBuffer()), signal);
    const { file: address } = this.#list.find((one) => one.name === name);
    return this.#describe(name, await loaded(await fetched(`models/${address}`, signal), progress), signal);
  }

  /** Add the model of a file to `names`; it is opened under the name that is returned. */
  addFile(file) {
    const stem = file.name.replace(/\.onnx$/i, "");
    const name = this.#list?.some((one) => one.name === stem) ? `${stem} (file)` : stem;
    this.#opened.set(name, file);
    return name;
  }

  async #describe(name, bytes, signal) {
    const artifact = await this.#inTurn(() => this.#exchange(bytes, signal), signal);
    const { record } = artifact;
    const ids = [...new Set(artifact.layers.flatMap(({ outputs }) => Object.keys(outputs)))];
    return {
      name,
      source: record.source.name ?? name,
      kind: artifact.detects ? "detector" : "classes",
      outputs: artifact.outputs.map(({ score }) => score.output),
      layers: artifact.layers.map(({ name: layer, grid, outputs }) => ({ name: layer, grid, methods: Object.keys(outputs) })),
      methods: ids.map((id) => ({ id, title: this.#titles[id] ?? id })),
      labels: (output) => artifact.labels(output),
      limits: this.limits,
      verification: record.verification,
    };
  }

  /** Open an artifact in place of the one before, whose memory is given back. */
  async #exchange(bytes, signal) {
    const artifact = await Artifact.open(bytes, this.#asked);
    if (signal.aborted) {
      await artifact.release();
      throw signal.reason;
    }
    const before = this.#artifact;
    [this.#artifact, this.#detected] = [artifact, new WeakMap()];
    await before?.release();
    return artifact;
  }

  /**
   * Explain an image; see app.js for what is asked and answered.
   * @param {import("./decode.js").Image} image
   */
  explain(image, asked, signal) {
    const explain = () => (this.#artifact.detects ? this.#explainBox(image, asked) : this.#explainClass(image, asked));
    return this.#inTurn(explain, signal);
  }

  /** Return the image as artifacts take it; its pixels are read once for each model. */
  async #read(image) {
    const { height, width } = image;
    const made = { height, width, get pixels() { return pixelsOf(image).pixels; } };
    if (!this.#readable.has(image)) {
      this.#readable.set(image, made);
      await pause(); // of a large image the work takes seconds: the page shows it before
    }
    return this.#readable.get(image);
  }

  async #explainClass(image, asked) {
    const artifact = this.#artifact;
    const shown = await artifact.explain(await this.#read(image), asked.class ?? -1, asked);
    const predictions = best(shown.probabilities, artifact.labels(asked.output));
    shown.probability = shown.probabilities?.[shown.class];
    return { ...this.#about(shown), predictions, shown };
  }

  async #explainBox(image, { box: number = 1, why = "class", conf }) {
    const artifact = this.#artifact;
    const pixels = await this.#read(image);
    const known = this.#detected.get(image);
    const found = known && known.conf === conf ? known : { conf, ...(await artifact.detect(pixels, conf)) };
    this.#detected.set(image, found);
    const detections = found.boxes;
    const box = number ? detections[number - 1] : found.best;
    if (!box) return { ...this.#about({}), predictions: [], detections, best: found.best, shown: null };
    const shown = await artifact.explainBox(pixels, box, TARGETS.indexOf(why));
    const layer = artifact.layers.map(({ name }) => name).join(" + ");
    const method = Object.keys(artifact.layers[0].outputs)[0];
    const about = { ...shown, number, box: box.corners, why, layer, method, signed: false };
    return { ...this.#about(shown), predictions: [], detections, best: found.best, shown: about };
  }

  #about({ milliseconds }) {
    return { milliseconds, where: this.#artifact.engine === "webgpu" ? "on WebGPU" : "on WebAssembly" };
  }

  /** Run tasks one after another, since a session runs once at a time; leave out what is called off. */
  #inTurn(task, signal) {
    const done = this.#queue.then(() => {
      signal.throwIfAborted();
      return task();
    });
    this.#queue = done.catch(() => {});
    return done;
  }
}

/** Let the browser draw. */
const pause = () => new Promise((done) => setTimeout(done, 20));

/** The best classes, [{class, label, probability}]. */
function best(probabilities, labels) {
  const ranked = [...(probabilities ?? []).keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  return ranked.slice(0, BEST).map((id) => ({ class: id, label: labels[id] ?? `${id}`, probability: probabilities[id] }));
}

async function fetched(address, signal) {
  let answer;
  try {
    answer = await fetch(address, { cache: "no-cache", signal });
  } catch {
    throw new Fault(`${address} cannot be loaded: there is no connection to the server of this page.`, { retry: true });
  }
  if (!answer.ok) throw new Fault(`${address} cannot be loaded: the server answers ${answer.status}.`, { retry: true });
  return answer;
}

/** Return the bytes of an answer as they come in. */
async function loaded(answer, progress) {
  const length = +answer.headers.get("content-length");
  const parts = [];
  let got = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read().catch(() => {
      throw new Fault("The connection broke while the model was loading.", { retry: true });
    });
    if (done) break;
    parts.push(value);
    got += value.length;
    if (length) progress(Math.min(got / length, 1));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

start(new LocalEngine());
