/** These functions draw raw maps over the image, as runtime/output/render does. */

/**
 * Divide a raw map by its maximum; all zero if it has no evidence or is not finite.
 * @param {Float32Array} raw
 */
export function normalise(raw) {
  const highest = raw.reduce((most, value) => Math.max(most, value), 0); // NaN remains NaN
  return highest > 0 && highest < Infinity
    ? raw.map((value) => Math.max(value, 0) / highest)
    : new Float32Array(raw.length);
}

/**
 * Project a map of the model's input onto the image: bilinear between cell centres, constant
 * outside the outermost centres, 0 where the model did not see the image.
 * @param {Float32Array} map [h, w], row by row.
 * @param {number[]} grid [h, w].
 * @param {object} placement See image.js.
 * @returns {Float32Array} [height, width] of the image.
 */
export function project(map, grid, { image, resized, offset, size }) {
  const [rows, columns] = [0, 1].map((axis) =>
    weights(grid[axis], image[axis], resized[axis], offset[axis], size[axis]),
  );
  const [height, width] = image;
  const spread = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [row, down] of rows[y]) {
        for (const [column, across] of columns[x]) sum += map[row * grid[1] + column] * down * across;
      }
      spread[y * width + x] = sum;
    }
  }
  return spread;
}

/** Return for each pixel along one axis the neighbouring cells and their weights. */
function weights(cells, image, resized, offset, size) {
  return Array.from({ length: image }, (_, pixel) => {
    const seen = ((pixel + 0.5) * resized) / image - offset;
    if (seen < 0 || seen >= size) return [];
    const position = Math.min(Math.max((seen * cells) / size - 0.5, 0), cells - 1);
    const low = Math.floor(position);
    const share = position - low;
    return [[low, 1 - share], [Math.min(low + 1, cells - 1), share]];
  });
}

/**
 * Paint a heatmap with values in [0, 1]: the opacity is the root of the value, so that the image
 * is visible where there is no evidence. The opacity of the canvas is the largest one.
 * @param {HTMLCanvasElement} canvas
 */
export function paint(canvas, heatmap, height, width) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  heatmap.forEach((value, i) => image.data.set([...jet(value), 255 * Math.sqrt(value)], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The colour map jet: RGB, 0 to 255. */
function jet(value) {
  return [3, 2, 1].map((centre) => 255 * Math.min(1, Math.max(0, 1.5 - Math.abs(4 * value - centre))));
}
