/**
 * These functions convert an image to the model's input (resize, centre crop, normalise), as
 * runtime/inputs/preprocess.py does.
 *
 * Models are trained with Pillow's antialiased resize, which a canvas does not have. ONNX Runtime's
 * Resize has it: resize_linear.onnx and resize_cubic.onnx are the runtime's own one-node models.
 * Detectors are mostly trained with OpenCV's, without antialiasing: plain_resize.js has that.
 */

import { Fault } from "./errors.js";
import { halfToEven, plainBilinear } from "./plain_resize.js";

/**
 * Return the pixels of an image: RGBA, row by row, on white if transparent.
 * @param {import("./decode.js").Image} image
 * @returns {{pixels: Uint8ClampedArray, height: number, width: number}}
 */
export function pixelsOf({ bitmap, height, width }) {
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return { pixels: context.getImageData(0, 0, width, height).data, height, width };
}

/**
 * Return the geometry between an image and the model's input: all pairs are [height, width].
 * @param {object} transform The record's `preprocess`.
 * @returns {{image: number[], resized: number[], offset: number[], size: number[]}}
 */
export function place(transform, height, width) {
  const resized = resizedTo(transform, height, width);
  const size = transform.size;
  const half = transform.anchor === "lower" ? Math.floor : halfToEven;
  const centred = size.map((extent, axis) => cropStart(resized[axis], extent, half));
  const offset = transform.anchor === "top_left" ? [0, 0] : centred;
  return { image: [height, width], resized, offset, size };
}

/** Return where the model's input lies in the image: left, top, right and bottom in its pixels. */
export function shownIn({ image, resized, offset, size }) {
  const [top, left] = [0, 1].map((axis) => (offset[axis] * image[axis]) / resized[axis]);
  const [bottom, right] = [0, 1].map(
    (axis) => ((offset[axis] + size[axis]) * image[axis]) / resized[axis],
  );
  return [left, top, right, bottom];
}

function resizedTo({ resize, resize_mode: mode, longest }, height, width) {
  if (!resize) return [height, width];
  const [target, other] = [resize[0], resize.at(-1)];
  if (mode === "exact") return [target, other];
  const [short, long] = [Math.min(height, width), Math.max(height, width)];
  if (mode === "shorter") {
    let pair = [target, Math.trunc((target * long) / short)];
    if (longest && pair[1] > longest) {
      pair = [Math.max(1, Math.trunc((longest * target) / pair[1])), longest];
    }
    return height <= width ? pair : pair.reverse();
  }
  const ratios = [height / target, width / other];
  const ratio =
    mode === "longer" ? long / target : mode === "fit" ? Math.max(...ratios) : Math.min(...ratios);
  return [height, width].map((length) => Math.max(1, halfToEven(length / ratio)));
}

/** Return where a centred crop starts along one axis; negative: pixels of padding before it. */
const cropStart = (length, size, half) =>
  length >= size ? half((length - size) / 2) : -Math.floor((size - length) / 2);

/**
 * Return the model's input for one image.
 * @param {object} ort onnxruntime-web.
 * @param {object} transform The record's `preprocess`.
 * @param {{pixels: Uint8ClampedArray, height: number, width: number}} image
 * @param {object} placement The geometry of this image.
 */
export async function prepare(ort, transform, image, placement) {
  if (transform.embedded) return untouched(ort, image);
  check(transform);
  const [channels, [height, width]] = [transform.mean.length, placement.size];
  const grey = channels === 1 || transform.channels === "grey";
  const planes = await resize(ort, toPlanes(image, grey ? 1 : 3), image, transform, placement);
  const values = new Float32Array(channels * height * width);
  const [tall, wide] = placement.resized;
  const [top, left] = placement.offset;
  const last = transform.layout === "nhwc";
  for (let c = 0; c < channels; c++) {
    const factor = Math.fround(transform.scale / transform.std[c]);
    const shift = Math.fround(transform.mean[c] / transform.std[c]);
    const plane = grey ? 0 : transform.channels === "bgr" ? 2 - c : c;
    const padding = transform.fill ? (transform.fill[c] ?? transform.fill[0]) : 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [row, column] = [y + top, x + left];
        const inside = row >= 0 && row < tall && column >= 0 && column < wide;
        const level = inside ? planes[(plane * tall + row) * wide + column] : padding;
        const to = last ? (y * width + x) * channels + c : (c * height + y) * width + x;
        values[to] = Math.fround(level * factor) - shift;
      }
    }
  }
  const shape = last ? [1, height, width, channels] : [1, channels, height, width];
  return new ort.Tensor("float32", values, shape);
}

const KNOWN =
  "input size resize resize_mode interpolation scale mean std layout embedded longest antialias anchor fill channels";

/** Refuse what would give other pixels than the runtime. */
function check(transform) {
  const unknown = Object.keys(transform).filter((name) => !KNOWN.split(" ").includes(name));
  if (transform.antialias === false && transform.interpolation === "bicubic") {
    unknown.push("a bicubic resize without antialiasing");
  }
  if (unknown.length) {
    throw new Fault(
      `This page cannot preprocess with ${unknown.join(", ")}; export with --extra embed_preprocess.`,
    );
  }
}

/** Return the unchanged image, for artifacts with embedded preprocessing. */
function untouched(ort, { pixels, height, width }) {
  const colours = Uint8Array.from({ length: 3 * height * width }, (_, i) => pixels[i + Math.floor(i / 3)]);
  return new ort.Tensor("uint8", colours, [1, height, width, 3]);
}

/** Convert RGBA pixels to colour planes, or to one grey plane with OpenCV's weights. */
function toPlanes({ pixels, height, width }, channels) {
  const area = height * width;
  const planes = new Uint8Array(channels * area);
  for (let i = 0; i < area; i++) {
    const [red, green, blue] = [pixels[4 * i], pixels[4 * i + 1], pixels[4 * i + 2]];
    if (channels === 1) {
      planes[i] = (4899 * red + 9617 * green + 1868 * blue + 8192) >> 14;
    } else {
      planes[i] = red;
      planes[area + i] = green;
      planes[2 * area + i] = blue;
    }
  }
  return planes;
}

/** Resize planes [channels, height, width] to the placement's size. */
async function resize(ort, planes, { height, width }, transform, { resized }) {
  const channels = planes.length / (height * width);
  if (resized[0] === height && resized[1] === width) return planes;
  if (transform.interpolation === "nearest") return nearest(planes, [height, width], resized, channels);
  if (transform.antialias === false) return plainBilinear(planes, [height, width], resized, channels);
  const session = await resizer(ort, transform.interpolation === "bicubic" ? "cubic" : "linear");
  const made = await session.run({
    image: new ort.Tensor("uint8", planes, [1, channels, height, width]),
    sizes: new ort.Tensor("int64", BigInt64Array.from(resized, BigInt), [2]),
  });
  return made.resized.data;
}

const resizers = {};

function resizer(ort, mode) {
  const name = `resize_${mode}.onnx`;
  const url = new URL(name, import.meta.url).href;
  return (resizers[mode] ??= ort.InferenceSession.create(url, { executionProviders: ["wasm"] }).catch(() => {
    delete resizers[mode]; // the connection may come back
    throw new Fault(`page/${name} cannot be loaded. Is there a connection to the server of this page?`, { retry: true });
  }));
}

/** Resize: each pixel copies the one under its centre. */
function nearest(planes, [height, width], [tall, wide], channels) {
  const [rows, columns] = [under(height, tall), under(width, wide)];
  const made = new Uint8Array(channels * tall * wide);
  let to = 0;
  for (let c = 0; c < channels; c++) {
    for (const row of rows) {
      for (const column of columns) made[to++] = planes[(c * height + row) * width + column];
    }
  }
  return made;
}

/** Return the source index of each of `size` pixels, by a cumulative sum that rounds as Pillow's. */
function under(length, size) {
  let centre = length / size / 2;
  return Array.from({ length: size }, () => {
    const index = Math.floor(centre);
    centre += length / size;
    return index;
  });
}
