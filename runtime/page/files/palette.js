/**
 * These functions colour heatmaps, as runtime/output/render/palettes.py does.
 *
 * Evidence is inferno, whose lightness rises evenly. Signed evidence is red for the class and blue
 * against it. A colour covers the image as far as there is evidence: 0 is transparent.
 */

const INFERNO = scale(
  "000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b " +
    "c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4",
);
const KNOTS = [0, 0.25, 0.6, 1];
const AGAINST = scale("f6f6f6 96c3f0 3282e6 0a46be", KNOTS);
const FOR = scale("f6f6f6 faa596 ee5041 b90a19", KNOTS);

/** Colours, [r, g, b], at rising values; without knots these are evenly spaced. */
function scale(text, knots) {
  const colours = text.split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return { colours, knots: knots ?? colours.map((_, i) => i / (colours.length - 1)) };
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

function between({ colours, knots }, value) {
  const inside = Math.min(Math.max(value, 0), 1);
  const high = Math.max(knots.findIndex((knot) => knot >= inside), 1);
  const share = (inside - knots[high - 1]) / (knots[high] - knots[high - 1]);
  return colours[high - 1].map((from, i) => from + share * (colours[high][i] - from));
}

/** Draw the scale, from left to right, on a canvas: as it looks over an image. */
export function paintScale(canvas, signed) {
  const { width, height } = canvas;
  const image = new ImageData(width, height);
  for (let x = 0; x < width; x++) {
    const share = width > 1 ? x / (width - 1) : 0;
    const value = signed ? 2 * share - 1 : share;
    const shown = [...colour(value, signed), 255 * Math.abs(value)];
    for (let y = 0; y < height; y++) image.data.set(shown, 4 * (y * width + x));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
