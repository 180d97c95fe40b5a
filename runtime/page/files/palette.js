/**
 * These functions colour heatmaps, as runtime/output/render/palettes.py does.
 *
 * Evidence is inferno, whose lightness rises evenly. Signed evidence is blue for what speaks against
 * the class, and orange for what speaks for it: both ends are equally dark.
 */

const INFERNO = anchors(
  "000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b " +
    "c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4",
);
const AGAINST = anchors("f6f6f6 92bee1 2a78be 08346e");
const FOR = anchors("f6f6f6 fab282 d6541e 7a1e08");

function anchors(text) {
  return text.split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
}

/**
 * Return the colour of a value.
 * @param {number} value In [0, 1]; if signed, in [-1, 1].
 * @param {boolean} signed
 * @returns {number[]} Red, green and blue, 0 to 255.
 */
export function colour(value, signed = false) {
  if (!signed) return between(INFERNO, value);
  return between(value < 0 ? AGAINST : FOR, Math.abs(value));
}

function between(colours, value) {
  const at = Math.min(Math.max(value, 0), 1) * (colours.length - 1);
  const low = Math.min(Math.floor(at), colours.length - 2);
  return colours[low].map((from, i) => from + (at - low) * (colours[low + 1][i] - from));
}

/**
 * Return how much of the photograph a value covers: the more evidence, the more. The curve starts
 * flat, so that weak evidence leaves no veil.
 */
export function cover(value) {
  return Math.min(Math.abs(value), 1) ** 1.4;
}

/** Draw the scale, from left to right, on a canvas: as it looks over an image. */
export function paintScale(canvas, signed) {
  const { width, height } = canvas;
  const image = new ImageData(width, height);
  for (let x = 0; x < width; x++) {
    const share = width > 1 ? x / (width - 1) : 0;
    const value = signed ? 2 * share - 1 : share;
    const shown = [...colour(value, signed), 255 * cover(value)];
    for (let y = 0; y < height; y++) image.data.set(shown, 4 * (y * width + x));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
