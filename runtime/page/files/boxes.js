/** These functions read a detector's boxes from the model's outputs, as runtime/boxes does. */

import { Fault } from "./errors.js";

/** What a box is explained by; the position is the value of the input `box_target`. */
export const TARGETS = ["class", "left", "top", "right", "bottom"];
export const [CONF, IOU, LIMIT] = [0.25, 0.45, 300];
const MOST_CANDIDATES = 8192;

/**
 * All boxes of one image.
 * @typedef {object} Candidates
 * @property {Float32Array} corners Left, top, right, bottom of each in pixels of the model's input.
 * @property {Float32Array} scores The best class's probability; 0 if a number is not finite.
 * @property {Int32Array} ids That class.
 */

/**
 * Read corners, best probabilities and classes of all boxes.
 * @param {object} detector The record's `detector`.
 * @param {Object<string, {data: ArrayLike<number>, dims: number[]}>} outputs Of one image, by name.
 * @param {number[]} size Height and width of the model's input.
 * @param {string} activation What makes probabilities of the scores, if they are none.
 * @returns {Candidates}
 */
export function decode(detector, outputs, size, activation) {
  const numbers = table(outputs, detector.box_entries);
  const corners = toCorners(detector, numbers, size);
  const scores = table(outputs, detector.score_entries);
  if (scores.boxes !== numbers.boxes) {
    throw new Fault(`The outputs hold ${numbers.boxes} boxes and ${scores.boxes} scores.`);
  }
  if (!detector.activated) {
    activate(scores, activation === "softmax" && !detector.objectness_entries);
  }
  const there = detector.objectness_entries && table(outputs, detector.objectness_entries);
  if (there && !detector.activated) activate(there, false);
  const own = detector.class_entries && table(outputs, detector.class_entries);
  const classes = scores.count - (detector.no_object ? 1 : 0);
  const found = { corners, scores: new Float32Array(scores.boxes), ids: new Int32Array(scores.boxes) };
  for (let box = 0; box < scores.boxes; box++) {
    const row = scores.values.subarray(box * scores.count, box * scores.count + classes);
    const best = row.reduce((most, value, place) => (value > row[most] ? place : most), 0);
    const score = row[best] * (there ? there.values[box] : 1);
    const usable = corners.subarray(4 * box, 4 * box + 4).every(Number.isFinite);
    found.scores[box] = usable && Number.isFinite(score) ? score : 0;
    found.ids[box] = own ? Math.round(own.values[box]) : best;
  }
  return found;
}

/** Join the entries of all levels: `values` is [boxes, count], row by row. */
function table(outputs, levels) {
  const extents = levels.map(({ output, box_axis: axis }) => outputs[output].dims[axis]);
  const boxes = extents.reduce((a, b) => a + b);
  const { count } = levels[0];
  const values = new Float32Array(boxes * count);
  let to = 0;
  levels.forEach(({ output, box_axis: axis, first }, level) => {
    const { data, dims } = outputs[output];
    const [along, across] = axis === 1 ? [dims[2], 1] : [1, dims[2]];
    for (let box = 0; box < extents[level]; box++) {
      for (let entry = first; entry < first + count; entry++) {
        values[to++] = Number(data[box * along + entry * across]);
      }
    }
  });
  return { values, boxes, count };
}

function toCorners({ box_layout: layout, box_units: units }, { values, boxes }, [height, width]) {
  const corners = Float32Array.from(values);
  const [across, down] = units === "unit" ? [width, height] : [1, 1];
  for (let at = 0; at < 4 * boxes; at += 4) {
    const [a, b, c, d] = values.subarray(at, at + 4);
    const four = layout === "xyxy" ? [a, b, c, d] : [a - c / 2, b - d / 2, a + c / 2, b + d / 2];
    four.forEach((value, place) => (corners[at + place] = value * (place % 2 ? down : across)));
  }
  return corners;
}

/** Convert logits to probabilities in place. */
function activate({ values, count }, soft) {
  if (!soft) {
    values.forEach((value, i) => (values[i] = 1 / (1 + Math.exp(-value))));
    return;
  }
  for (let at = 0; at < values.length; at += count) {
    const row = values.subarray(at, at + count);
    const most = row.reduce((a, b) => Math.max(a, b));
    row.forEach((value, i) => (row[i] = Math.exp(value - most)));
    const total = row.reduce((a, b) => a + b);
    row.forEach((value, i) => (row[i] = value / total));
  }
}

/**
 * Return the numbers of the boxes that stay, the best first: those of one class that overlap more
 * than `iou` with a better one go, unless the model's boxes are final.
 * @param {Candidates} found
 */
export function suppress({ corners, scores, ids }, final, conf = CONF, iou = IOU, limit = LIMIT) {
  const ranked = [...scores.keys()]
    .filter((box) => scores[box] >= conf && scores[box] > 0)
    .sort((a, b) => scores[b] - scores[a] || a - b);
  if (final) return ranked.slice(0, limit);
  const kept = [];
  for (const box of ranked.slice(0, MOST_CANDIDATES)) {
    const four = corners.subarray(4 * box, 4 * box + 4);
    const hidden = kept.some(
      (other) => ids[other] === ids[box] && overlap(corners.subarray(4 * other, 4 * other + 4), four) > iou,
    );
    if (!hidden) kept.push(box);
    if (kept.length === limit) break;
  }
  return kept;
}

/** Intersection over union of two boxes. */
function overlap(one, other) {
  const side = (low, high) => Math.max(0, high - low);
  const area = ([left, top, right, bottom]) => side(left, right) * side(top, bottom);
  const shared = area([0, 1, 2, 3].map((i) => (i < 2 ? Math.max : Math.min)(one[i], other[i])));
  const union = area(one) + area(other) - shared;
  return union > 0 ? shared / union : 1;
}

/**
 * Undo crop, padding and resize of corners, and clip them to the image.
 * @param {ArrayLike<number>} corners In pixels of the model's input.
 * @param {object} placement See image.js.
 * @returns {number[]} In pixels of the image.
 */
export function toImage(corners, { image, resized, offset }) {
  return Array.from(corners, (value, place) => {
    const axis = place % 2 ? 0 : 1; // pairs are [height, width]
    const moved = ((value + offset[axis]) * image[axis]) / resized[axis];
    return Math.min(Math.max(moved, 0), image[axis]);
  });
}

/**
 * Return the share of a map's positive values that lies in a box; null for an empty map. A cell is
 * inside by the area that the box covers of it.
 * @param {Float32Array} map [h, w], row by row.
 * @param {number[]} grid [h, w].
 * @param {ArrayLike<number>} corners In pixels of the model's input.
 * @param {number[]} size Height and width of the model's input.
 */
export function shareInside(map, grid, corners, size) {
  const [rows, columns] = [0, 1].map((axis) => {
    const [low, high] = [corners[1 - axis], corners[3 - axis]].map((at) => (at * grid[axis]) / size[axis]);
    const part = (edge, cell) => Math.min(Math.max(edge - cell, 0), 1);
    return Array.from({ length: grid[axis] }, (_, cell) => Math.max(part(high, cell) - part(low, cell), 0));
  });
  let [inside, total] = [0, 0];
  map.forEach((value, i) => {
    const positive = Math.max(value, 0);
    total += positive;
    inside += positive * rows[Math.floor(i / grid[1])] * columns[i % grid[1]];
  });
  return total > 0 && Number.isFinite(total) ? inside / total : null;
}
