/**
 * This file resizes bytes as OpenCV does without antialiasing, which detectors are trained with.
 *
 * Each pixel lies between two rows and two columns. OpenCV adds their four values in integers, with
 * weights of eleven bits, and drops bits between the two directions: to the last grey level its
 * result is reproduced only by the same steps.
 */

const ONE = 2048; // a weight of 1

/**
 * Resize bilinearly.
 * @param {Uint8Array} planes [channels, height, width].
 * @param {number[]} from Height and width.
 * @param {number[]} to Height and width of the result.
 * @param {number} channels
 * @returns {Uint8Array} [channels, *to].
 */
export function plainBilinear(planes, [height, width], [tall, wide], channels) {
  const [down, across] = [weights(height, tall), weights(width, wide, true)];
  const made = new Uint8Array(channels * tall * wide);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    const sums = new Map(); // of the rows that are read, each row across
    const row = (y) => {
      if (!sums.has(y)) sums.set(y, sumAcross(planes, (channel * height + y) * width, across));
      return sums.get(y);
    };
    for (const { first, second, low, high } of down) {
      const [above, below] = [row(first), row(second)];
      for (let x = 0; x < wide; x++) {
        const sum = ((low * (above[x] >> 4)) >> 16) + ((high * (below[x] >> 4)) >> 16);
        made[at++] = (sum + 2) >> 2;
      }
      for (const y of sums.keys()) if (y < first) sums.delete(y);
    }
  }
  return made;
}

function sumAcross(planes, start, across) {
  return Int32Array.from(
    across,
    ({ first, second, low, high }) => planes[start + first] * low + planes[start + second] * high,
  );
}

/**
 * The two pixels that each of `size` pixels lies between along one axis, and their weights. Beyond
 * the border both are the last pixel: with all of the weight on one of them, or with shares.
 */
function weights(length, size, whole = false) {
  const last = length - 1;
  return Array.from({ length: size }, (_, i) => {
    const centre = Math.fround((i + 0.5) * (length / size) - 0.5);
    const before = Math.floor(centre);
    const outside = before < 0 || before >= last;
    const part = whole && outside ? 0 : Math.fround(centre - before);
    const [first, second] = [before, before + 1].map((at) => Math.min(Math.max(at, 0), last));
    return {
      first,
      second,
      low: halfToEven(Math.fround(1 - part) * ONE),
      high: halfToEven(part * ONE),
    };
  });
}

/** Python's round(). */
export function halfToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
