/** `RemoteEngine` asks the service that gave this page: `graftcam serve`, by its HTTP API. */

import { start } from "./app.js";
import { Fault } from "./errors.js";

const SIDE = 2; // seconds to wait where the service is busy and does not say how long

class RemoteEngine {
  promise = "Images go to this service only. It keeps none of them.";
  opensFiles = false;
  limits = {};
  examples = [];
  #models = new Map();
  #model;

  /** Names of the models that the service has. */
  async names() {
    const { models } = await asked("api/models");
    this.#models = new Map(models.map((model) => [model.name, model]));
    return [...this.#models.keys()];
  }

  /** Describe a model, as `GET /api/models/{name}` does; `labels` becomes a function of the output. */
  async open(name) {
    const model = this.#models.get(name);
    refuse(model);
    this.#model = name;
    const numbers = Array.from({ length: model.classes ?? 0 }, (_, i) => `${i}`);
    const labels = (output) => {
      const first = output === undefined || output === model.outputs[0];
      return (first ? model.labels : model.output_labels?.[output]) ?? (first ? numbers : []);
    };
    return { ...model, labels };
  }

  /**
   * Explain an image; see app.js for what is asked and answered.
   * @param {import("./decode.js").Image} image
   */
  async explain(image, { class: id, layer, method, output, box, why, conf }, signal) {
    const detects = this.#models.get(this.#model).kind === "detector";
    const form = new FormData();
    form.append("image", image.blob, image.name);
    const fields = { class: id, layer, method, output, box, why, conf };
    if (detects && box === undefined) fields.limit = 1; // the best box
    if (box === 0) Object.assign(fields, { box: undefined, near_miss: true });
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined && value !== null) form.append(name, value);
    }
    const address = `api/models/${encodeURIComponent(this.#model)}/explain`;
    const answer = await asked(address, { method: "POST", body: form, signal });
    const [found] = answer.explanations;
    const explained = answer.detections?.find((one) => one.number === found?.number);
    if (explained) found.label = explained.label; // not with the edge, which `why` names
    if (answer.near_miss) found.number = 0; // which is no detection
    const detected = answer.near_miss ? [] : answer.detections;
    return {
      milliseconds: answer.milliseconds,
      where: "by the service",
      predictions: answer.predictions ?? [],
      detections: detected?.map(boxOf),
      best: answer.best ? boxOf(answer.best) : null,
      shown: found ? { ...found, map: numbersOf(found.map.data), grid: found.map.shape } : null,
    };
  }
}

/** Return a detection as the page draws it. */
function boxOf(one) {
  return { ...one, probability: one.probability ?? one.score, corners: one.box };
}

/** Refuse a model that needs more than one image and a class; programs can ask it. */
function refuse({ name, kind, input }) {
  const further = (input.further ?? []).map((one) => one.name).join(", ");
  const reason =
    input.image === false ? "takes arrays instead of images"
    : further ? `takes more than an image: ${further}`
    : kind === "linear" ? "is asked by weights instead of classes"
    : "";
  if (reason) throw new Fault(`${name} ${reason}; this page cannot ask it, but programs can (openapi.json).`);
}

/** Decode float32 numbers, little-endian, of base64. */
function numbersOf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** Return the JSON of an answer; a Fault says in a sentence what went wrong. */
async function asked(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault("The service cannot be reached. Is it running, and is there a connection?", { retry: true });
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  if (answer.status === 429 || answer.status === 503) {
    const wait = +answer.headers.get("retry-after") || SIDE;
    const state = answer.status === 429 ? "is busy" : "is starting or stopping";
    throw new Fault(`The service ${state}.`, { retry: true, wait });
  }
  throw new Fault(body?.error ?? `The service answers ${answer.status} ${answer.statusText}.`, {
    retry: answer.status >= 500,
  });
}

start(new RemoteEngine());
