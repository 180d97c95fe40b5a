/** `Artifact` opens a graftcam artifact with onnxruntime-web; it detects, and explains images. */

import { decode, shareInside, suppress, toImage } from "./boxes.js";
import { place, prepare } from "./image.js";
import { readRecord } from "./record.js";

const BUILDS = { wasm: "./ort/ort.wasm.min.mjs", webgpu: "./ort/ort.webgpu.min.mjs" };

/**
 * @typedef {object} Explanation
 * @property {number} id The explained class.
 * @property {string} label Its name.
 * @property {number} score Its score.
 * @property {Float32Array|null} probabilities Per class; null if there are none.
 * @property {Float32Array} map Its raw map, [h, w].
 * @property {number[]} grid [h, w].
 * @property {object} placement The geometry between the image and the model's input.
 * @property {number} milliseconds Time of the run alone.
 * @property {Box} [box] The explained box.
 * @property {number|null} [share] The share of the map that lies in it; null for an empty map.
 */

/**
 * @typedef {object} Box A detection.
 * @property {number} index Its number in the model's tables.
 * @property {number} id Its class.
 * @property {string} label The class's name.
 * @property {number} probability Of that class.
 * @property {number[]} corners Left, top, right, bottom in pixels of the image.
 * @property {number[]} input The same in pixels of the model's input.
 */

export class Artifact {
  /**
   * Open an artifact on WebGPU if that works, else on WASM.
   * @param {Uint8Array} bytes The ONNX file, exported with `--profile web`.
   * @param {string|null} asked "webgpu" or "wasm" for that backend without a fallback.
   */
  static async open(bytes, asked = null) {
    const record = readRecord(bytes);
    const adapter = asked === "wasm" ? null : await navigator.gpu?.requestAdapter();
    const ort = await import(BUILDS[adapter ? "webgpu" : "wasm"]);
    const backends = asked ? [asked] : adapter ? ["webgpu", "wasm"] : ["wasm"];
    let failure;
    for (const backend of backends) {
      try {
        const options = { executionProviders: [backend], logSeverityLevel: 3 };
        const session = await ort.InferenceSession.create(bytes, options);
        const artifact = new Artifact(ort, session, record, backend);
        await artifact.#rehearse();
        return artifact;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  constructor(ort, session, record, backend) {
    Object.assign(this, { ort, session, record, backend });
    const { box_index: box, box_target: target } = record.detector ?? {};
    const own = [record.class_index, record.region, box, target].filter(Boolean);
    const missing = own.filter((name) => !session.inputNames.includes(name));
    if (missing.length) {
      throw new Error(`JavaScript cannot feed ${missing.join(", ")} here; export with: --profile web`);
    }
    const needed = session.inputNames.filter((name) => !own.includes(name));
    if (!record.preprocess || needed.join() !== record.preprocess.input) {
      throw new Error("The artifact stores no preprocessing, or takes more than one image.");
    }
    this.labels = record.labels ?? Array.from({ length: record.score.classes }, (_, i) => `${i}`);
    this.layers = record.layers.map((layer) => layer.name);
    this.detects = record.detector !== undefined;
  }

  /** Run once: a backend can load a model and still fail to run it, and the first run is slow. */
  async #rehearse() {
    const [height, width] = this.record.preprocess.size;
    const black = { pixels: new Uint8ClampedArray(4 * height * width), height, width };
    if (!this.detects) return this.explain(black);
    const { best } = await this.detect(black);
    return this.explainBox(black, best);
  }

  /**
   * Detect the boxes of an image; nothing is explained.
   * @param {object} image The image; see image.js.
   * @returns {Promise<{boxes: Box[], best: Box}>} The best first; `best` may be below the threshold.
   */
  async detect(image, conf = undefined, iou = undefined) {
    const { detector, preprocess, score } = this.record;
    const placement = place(preprocess, image.height, image.width);
    const entries = ["box_entries", "score_entries", "class_entries", "objectness_entries"];
    const names = entries.flatMap((name) => detector[name] ?? []).map(({ output }) => output);
    const feeds = await this.#feeds(image, placement, [], [], []);
    const outputs = await this.session.run(feeds, [...new Set(names)]);
    const found = decode(detector, outputs, placement.size, score.activation);
    const box = (index) => {
      const input = [...found.corners.subarray(4 * index, 4 * index + 4)];
      const [id, probability] = [found.ids[index], found.scores[index]];
      return {
        index, id, label: this.labels[id] ?? `${id}`, probability, input,
        corners: toImage(input, placement),
      };
    };
    const best = found.scores.reduce((most, value, i) => (value > found.scores[most] ? i : most), 0);
    return { boxes: suppress(found, detector.final, conf, iou).map(box), best: box(best) };
  }

  /**
   * Explain one box of an image.
   * @param {object} image The image; see image.js.
   * @param {Box} box Of `detect`.
   * @param {number} target A position in `TARGETS`: its class, or an edge.
   * @returns {Promise<Explanation>}
   */
  async explainBox(image, box, target = 0) {
    const { detector, preprocess, scores } = this.record;
    const placement = place(preprocess, image.height, image.width);
    const feeds = await this.#feeds(image, placement, [box.id], [box.index], [target]);
    const started = performance.now();
    const got = await this.session.run(feeds, [scores, detector.heatmap]);
    const milliseconds = performance.now() - started;
    const { data: map, dims } = got[detector.heatmap];
    return {
      id: box.id, label: box.label, score: got[scores].data[0], probabilities: null, map,
      grid: dims.slice(2), placement, milliseconds, box,
      share: shareInside(map, dims.slice(2), box.input, placement.size),
    };
  }

  /** Return the inputs of a detector for an image and the boxes that are explained. */
  async #feeds(image, placement, ...numbers) {
    const { ort, record } = this;
    const { box_index: box, box_target: target } = record.detector;
    const own = [record.class_index, box, target].map((name, i) => [
      name,
      new ort.Tensor("int64", BigInt64Array.from(numbers[i], BigInt), [1, numbers[i].length]),
    ]);
    const pixels = await prepare(ort, record.preprocess, image, placement);
    return { [record.preprocess.input]: pixels, ...Object.fromEntries(own) };
  }

  /**
   * Explain one class of an image.
   * @param {object} image The image; see image.js.
   * @param {number} wanted A class id; -1 is the predicted class, -2 the second, and so on.
   * @param {number} which Position of the target layer.
   * @returns {Promise<Explanation>}
   */
  async explain(image, wanted = -1, which = 0) {
    const { ort, record } = this;
    const { score, preprocess } = record;
    const layer = record.layers[which];
    const placement = place(preprocess, image.height, image.width);
    const feeds = {
      [preprocess.input]: await prepare(ort, preprocess, image, placement),
      [record.class_index]: new ort.Tensor("int64", BigInt64Array.of(BigInt(wanted)), [1, 1]),
    };
    if (record.region) feeds[record.region] = this.#everywhere();
    const started = performance.now();
    const names = [score.output, record.classes, record.scores, layer.heatmap];
    const got = await this.session.run(feeds, [...new Set(names)]);
    const milliseconds = performance.now() - started;
    const id = Number(got[record.classes].data[0]);
    return {
      id,
      label: this.labels[id],
      score: got[record.scores].data[0],
      probabilities: probabilities(score, got[score.output]),
      map: got[layer.heatmap].data,
      grid: got[layer.heatmap].dims.slice(2),
      placement,
      milliseconds,
    };
  }

  /** Return the region of all positions: a single 1 with as many axes as the input. */
  #everywhere() {
    const { shape } = this.session.inputMetadata.find(({ name }) => name === this.record.region);
    return new this.ort.Tensor("float32", Float32Array.of(1), shape.map(() => 1));
  }
}

/** Return the probabilities of one image's output, [1, classes]; null if there are none. */
function probabilities({ activation, activated, single_logit: single }, { data, dims }) {
  if (dims.length > 2 || (activation === "none" && !activated)) return null;
  const values = activated ? data : activation === "softmax" ? softmax(data) : data.map(sigmoid);
  return single ? Float32Array.of(1 - values[0], values[0]) : values;
}

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));
