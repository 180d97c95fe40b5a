/** `Artifact` opens a graftcam artifact with onnxruntime-web; it detects, and explains images. */

import { decode, shareInside, suppress, toImage } from "./boxes.js";
import { Fault } from "./errors.js";
import { place, prepare, shownIn } from "./preprocess.js";
import { probabilitiesOf } from "./probabilities.js";
import { readRecord } from "./record.js";

const BUILDS = { wasm: "../ort/ort.wasm.min.mjs", webgpu: "../ort/ort.webgpu.min.mjs" };
const SIGNED = ["cam"]; // of the methods that an artifact can hold

/**
 * @typedef {object} Explanation
 * @property {number} class The explained class.
 * @property {string} label Its name.
 * @property {number} score Its score.
 * @property {Float32Array|null} probabilities Per class; null if there are none.
 * @property {Float32Array} map Its raw map, [h, w].
 * @property {number[]} grid [h, w].
 * @property {number[]} place Left, top, right, bottom of the map in pixels of the image.
 * @property {boolean} signed Whether negative values are evidence.
 * @property {number} milliseconds Time of the run alone.
 * @property {number|null} [share] The share of the map that lies in the box; null: an empty map.
 */

/**
 * @typedef {object} Box A detection.
 * @property {number} index Its number in the model's tables.
 * @property {number} class Its class.
 * @property {string} label The class's name.
 * @property {number} probability Of that class.
 * @property {number[]} corners Left, top, right, bottom in pixels of the image.
 * @property {number[]} input The same in pixels of the model's input.
 */

export class Artifact {
  #prepared = new WeakMap(); // the model's input by image

  /**
   * Open an artifact on WebGPU if that works, else on WASM.
   * @param {Uint8Array} bytes The ONNX file, exported with `--profile web`.
   * @param {string|null} asked "webgpu" or "wasm" for that engine without a fallback.
   * @throws {Fault} The page cannot use it.
   */
  static async open(bytes, asked = null) {
    const record = readRecord(bytes);
    const adapter = asked === "wasm" ? null : await navigator.gpu?.requestAdapter();
    const ort = await import(BUILDS[adapter ? "webgpu" : "wasm"]);
    const engines = asked ? [asked] : adapter ? ["webgpu", "wasm"] : ["wasm"];
    let failure;
    for (const engine of engines) {
      let session;
      try {
        const options = { executionProviders: [engine], logSeverityLevel: 3 };
        session = await ort.InferenceSession.create(bytes, options);
        const artifact = new Artifact(ort, session, record, engine);
        await artifact.#rehearse();
        return artifact;
      } catch (error) {
        failure = error;
        await session?.release();
      }
    }
    throw failure;
  }

  constructor(ort, session, record, engine) {
    Object.assign(this, { ort, session, record, engine });
    const { box_index: box, box_target: target } = record.detector ?? {};
    const own = [record.class_index, record.region, record.output_index, box, target].filter(Boolean);
    const missing = own.filter((name) => !session.inputNames.includes(name));
    if (missing.length || !record.class_index) {
      const names = missing.join(", ") || record.score_weights;
      throw new Fault(`This page cannot feed the artifact's input ${names}; export it with: --profile web`);
    }
    const needed = session.inputNames.filter((name) => !own.includes(name));
    if (!record.preprocess || needed.join() !== record.preprocess.input) {
      throw new Fault("The artifact stores no preprocessing, or takes more than one image; this page shows one.");
    }
    this.outputs = record.outputs ?? [{ score: record.score, labels: record.labels }];
    this.layers = layersOf(record);
    this.detects = record.detector !== undefined;
  }

  /** Give the memory of the model back. */
  release() {
    return this.session.release();
  }

  /** Class names of an output, the first by default. */
  labels(output) {
    const { score, labels } = this.#output(output);
    return labels ?? Array.from({ length: score.classes ?? 0 }, (_, i) => `${i}`);
  }

  #output(name) {
    return this.outputs.find(({ score }) => score.output === name) ?? this.outputs[0];
  }

  /** Run once: an engine can load a model and still fail to run it, and the first run is slow. */
  async #rehearse() {
    const [height, width] = this.record.preprocess.size;
    const black = { pixels: new Uint8ClampedArray(4 * height * width), height, width };
    if (!this.detects) return this.explain(black);
    const { best } = await this.detect(black);
    return this.explainBox(black, best);
  }

  /**
   * Detect the boxes of an image; nothing is explained.
   * @param {object} image Its pixels; see preprocess.js.
   * @returns {Promise<{boxes: Box[], best: Box}>} The best first; `best` may be below the threshold.
   */
  async detect(image, conf = undefined, iou = undefined) {
    const { detector, preprocess, score } = this.record;
    const placement = place(preprocess, image.height, image.width);
    const entries = ["box_entries", "score_entries", "class_entries", "objectness_entries"];
    const names = entries.flatMap((name) => detector[name] ?? []).map(({ output }) => output);
    const feeds = await this.#feeds(image, placement, this.#boxes([], [], []));
    const outputs = await this.session.run(feeds, [...new Set(names)]);
    const found = decode(detector, outputs, placement.size, score.activation);
    const labels = this.labels();
    const box = (index) => {
      const input = [...found.corners.subarray(4 * index, 4 * index + 4)];
      const [id, probability] = [found.ids[index], found.scores[index]];
      const corners = toImage(input, placement);
      return { index, class: id, label: labels[id] ?? `${id}`, probability, input, corners };
    };
    const best = found.scores.reduce((most, value, i) => (value > found.scores[most] ? i : most), 0);
    return { boxes: suppress(found, detector.final, conf, iou).map(box), best: box(best) };
  }

  /**
   * Explain one box of an image.
   * @param {object} image Its pixels; see preprocess.js.
   * @param {Box} box Of `detect`.
   * @param {number} target A position in `TARGETS`: its class, or an edge.
   * @returns {Promise<Explanation>}
   */
  async explainBox(image, box, target = 0) {
    const { detector, scores } = this.record;
    const placement = place(this.record.preprocess, image.height, image.width);
    const own = this.#boxes([box.class], [box.index], [target]);
    const found = await this.#run(image, placement, own, detector.heatmap, [scores]);
    const share = shareInside(found.map, found.grid, box.input, placement.size);
    const { class: id, label } = box;
    const { outputs, ...shown } = found;
    return { ...shown, class: id, label, score: outputs[scores].data[0], probabilities: null, share };
  }

  /** Return the inputs that say which boxes are explained. */
  #boxes(...numbers) {
    const { class_index: id, detector } = this.record;
    const names = [id, detector.box_index, detector.box_target];
    return Object.fromEntries(names.map((name, i) => [name, this.#integers(numbers[i])]));
  }

  /**
   * Explain one class of an image.
   * @param {object} image Its pixels; see preprocess.js.
   * @param {number} wanted A class id; -1 is the predicted class, -2 the second, and so on.
   * @param {{layer?: string, method?: string, output?: string}} how By default the first ones.
   * @returns {Promise<Explanation>}
   */
  async explain(image, wanted = -1, how = {}) {
    const { record } = this;
    const chosen = this.#output(how.output);
    const layer = this.layers.find(({ name }) => name === how.layer) ?? this.layers[0];
    const method = layer.outputs[how.method] ? how.method : Object.keys(layer.outputs)[0];
    const own = { [record.class_index]: this.#integers([wanted]) };
    if (record.output_index) {
      own[record.output_index] = this.#integers([this.outputs.indexOf(chosen)]);
    }
    if (record.region) own[record.region] = this.#everywhere();
    const placement = place(record.preprocess, image.height, image.width);
    const names = [chosen.score.output, record.classes, record.scores];
    const { outputs, ...shown } = await this.#run(image, placement, own, layer.outputs[method], names);
    if (layer.turned) Object.assign(shown, transposed(shown));
    const id = Number(outputs[record.classes].data[0]);
    return {
      ...shown,
      class: id,
      label: this.labels(how.output)[id] ?? `${id}`,
      score: outputs[record.scores].data[0],
      probabilities: probabilitiesOf(chosen.score, outputs[chosen.score.output]),
      layer: layer.name,
      method,
      signed: SIGNED.includes(method),
    };
  }

  /** Run the artifact; the map comes with where it lies and how long the run took. */
  async #run(image, placement, own, heatmap, names) {
    const feeds = await this.#feeds(image, placement, own);
    const started = performance.now();
    const outputs = await this.session.run(feeds, [...new Set([...names, heatmap])]);
    const milliseconds = performance.now() - started;
    const { data: map, dims } = outputs[heatmap];
    if (dims.length !== 4) throw new Fault("The layer has no map of rows and columns to draw.");
    return { outputs, map, grid: dims.slice(2), place: shownIn(placement), placement, milliseconds };
  }

  async #feeds(image, placement, own) {
    const { preprocess } = this.record;
    if (!this.#prepared.has(image)) {
      this.#prepared.set(image, await prepare(this.ort, preprocess, image, placement));
    }
    return { ...own, [preprocess.input]: this.#prepared.get(image) };
  }

  #integers(values) {
    return new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  }

  /** Return the region of all positions: a single 1 with as many axes as the input. */
  #everywhere() {
    const { shape } = this.session.inputMetadata.find(({ name }) => name === this.record.region);
    return new this.ort.Tensor("float32", Float32Array.of(1), shape.map(() => 1));
  }
}

/** List what maps can be asked for: `outputs` are the graph's outputs by method. */
function layersOf(record) {
  const layers = record.layers.map((layer) => ({
    name: layer.name,
    grid: layer.grid,
    turned: layer.input_axes?.[0] > layer.input_axes?.[1], // its rows run along the image's columns
    outputs: { [layer.method ?? "gradcam"]: layer.heatmap, ...layer.methods },
  }));
  for (const [way, output] of Object.entries(record.fused?.maps ?? {})) {
    layers.push({ name: `all layers, ${way}`, grid: null, outputs: { [record.fused.method]: output } });
  }
  if (record.fullgrad) layers.push({ name: "the whole network", grid: null, outputs: { fullgrad: record.fullgrad } });
  return layers;
}

function transposed({ map, grid: [h, w] }) {
  return { map: map.map((_, i) => map[(i % h) * w + Math.floor(i / h)]), grid: [w, h] };
}
