/** These functions turn raw maps into heatmaps over the image, as runtime/output/render does. */

import { colour } from "./palette.js";

const ROUNDING = 1e-6; // differences up to this share of the maximum are no evidence

// Methods that follow the gradient to the pixels: a few of these have most of it.
const OF_PIXELS =
  "saliency input-x-gradient smoothgrad smoothgrad-squared vargrad integrated-gradients guided-backprop deconvnet guided-gradcam";
const PERCENTILE = 99;

/**
 * Divide a raw map by its maximum, or a signed one by its largest magnitude; of methods of pixels by
 * the 99th percentile of what is evidence.
 * @param {Float32Array} raw
 * @param {boolean} signed Whether negative values are evidence; else they count as 0.
 * @param {string} [method] The method's id.
 * @returns {{values: Float32Array, status: string}} Values up to 1. The status is "ok", or why the
 *   values are all zero: "zero", "constant" or "nonfinite".
 */
export function normalise(raw, signed = false, method = "") {
  const evidence = signed ? raw : raw.map((value) => Math.max(value, 0)); // NaN remains NaN
  const status = statusOf(evidence);
  if (status !== "ok") return { values: new Float32Array(raw.length), status };
  const peak = peakOf(evidence, OF_PIXELS.split(" ").includes(method) ? PERCENTILE : 100);
  return { values: evidence.map((value) => Math.min(Math.max(value / peak, -1), 1)), status };
}

/** A percentile of the magnitudes above 0, interpolated. */
function peakOf(evidence, percentile) {
  const sizes = evidence.map(Math.abs).filter((size) => size > 0).sort();
  const at = ((sizes.length - 1) * percentile) / 100;
  const low = Math.floor(at);
  return sizes[low] + (at - low) * ((sizes[low + 1] ?? sizes[low]) - sizes[low]);
}

function statusOf(evidence) {
  if (!evidence.every(Number.isFinite)) return "nonfinite";
  const [low, high] = [Math.min, Math.max].map((pick) => evidence.reduce((a, b) => pick(a, b)));
  if (low === 0 && high === 0) return "zero";
  return high - low <= ROUNDING * Math.max(Math.abs(low), Math.abs(high)) ? "constant" : "ok";
}

/**
 * Lay a map over an image: bilinear between cell centres, constant outside the outermost centres, 0
 * outside its place.
 * @param {Float32Array} map [h, w], row by row.
 * @param {number[]} grid [h, w].
 * @param {number[]} place Left, top, right and bottom of the map in pixels of the image.
 * @param {number[]} size Height and width of the image.
 * @returns {Float32Array} [height, width] of the image.
 */
export function project(map, grid, [left, top, right, bottom], [height, width]) {
  const rows = weights(grid[0], height, top, bottom);
  const columns = weights(grid[1], width, left, right);
  const spread = new Float32Array(height * width);
  const line = new Float64Array(grid[1]);
  rows.forEach((down, y) => {
    if (!down) return;
    for (let x = 0; x < grid[1]; x++) {
      const [above, below] = [map[down.low * grid[1] + x], map[down.high * grid[1] + x]];
      line[x] = above * (1 - down.share) + below * down.share;
    }
    columns.forEach((across, x) => {
      if (!across) return;
      const { low, high, share } = across;
      spread[y * width + x] = line[low] * (1 - share) + line[high] * share;
    });
  });
  return spread;
}

/** Return for each pixel along one axis its two cells and the second one's weight; null outside. */
function weights(cells, pixels, start, end) {
  const tiny = 1e-9 * (end - start); // a border that meets a pixel's centre, but for rounding
  return Array.from({ length: pixels }, (_, pixel) => {
    const inside = pixel + 0.5 - start;
    if (inside < -tiny || inside >= end - start - tiny) return null;
    const position = Math.min(Math.max((inside * cells) / (end - start) - 0.5, 0), cells - 1);
    const low = Math.floor(position);
    return { low, high: Math.min(low + 1, cells - 1), share: position - low };
  });
}

/**
 * Colour a heatmap. It covers the photograph as far as its evidence goes.
 * @param {Float32Array} heatmap [height, width], up to 1.
 * @param {boolean} signed Whether values go down to -1.
 * @returns {ImageData}
 */
export function paint(heatmap, height, width, signed = false) {
  const image = new ImageData(width, height);
  const steps = Array.from({ length: 511 }, (_, i) => {
    const value = i / 255 - 1;
    return [...colour(value, signed), 255 * Math.abs(value)];
  });
  heatmap.forEach((value, i) => image.data.set(steps[Math.round(255 * (value + 1))], 4 * i));
  return image;
}

/** Return a heatmap as opaque grey: 255 is the most evidence, and 128 none of a signed one. */
export function paintGrey(heatmap, height, width, signed = false) {
  const image = new ImageData(width, height);
  heatmap.forEach((value, i) => {
    const grey = Math.round(signed ? 128 + 127 * value : 255 * value);
    image.data.set([grey, grey, grey, 255], 4 * i);
  });
  return image;
}
