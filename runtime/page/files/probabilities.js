/**
 * Return the probabilities of one image's output; null if there are none.
 * @param {object} score The record's `score`.
 * @param {{data: ArrayLike<number>, dims: number[]}} output [1, classes].
 * @returns {Float32Array|null}
 */
export function probabilitiesOf({ activation, activated, single_logit: single }, { data, dims }) {
  if (dims.length > 2 || (activation === "none" && !activated)) return null;
  const logits = Float32Array.from(data);
  const values = activated ? logits : activation === "softmax" ? softmax(logits) : logits.map(sigmoid);
  return single ? Float32Array.of(1 - values[0], values[0]) : values;
}

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));
