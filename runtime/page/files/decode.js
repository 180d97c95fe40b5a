/** `readImage` decodes an image file; one that is too large is refused by its header. */

import { Fault } from "./errors.js";
import { sizeOf } from "./image_size.js";

/**
 * An image.
 * @typedef {{blob: Blob, name: string, height: number, width: number, bitmap: ImageBitmap}} Image
 * The bitmap is rotated as the EXIF orientation says.
 */

/**
 * @param {Blob} blob Any image file that the browser can decode.
 * @param {{bytes?: number, pixels?: number}} limits What the model's place takes.
 * @returns {Promise<Image>}
 */
export async function readImage(blob, { bytes = Infinity, pixels = Infinity } = {}) {
  const name = blob.name || "The image";
  if (blob.size > bytes) {
    throw new Fault(`${name} has ${mega(blob.size)} MB; at most ${mega(bytes)} MB can be taken. Choose a smaller file.`);
  }
  const size = sizeOf(new Uint8Array(await blob.slice(0, 1 << 18).arrayBuffer()));
  if (size) checkPixels(name, size, pixels);
  let bitmap;
  try {
    // No colour management, as in training.
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new Fault(`${name} is not an image that this browser can decode. Choose a JPEG, PNG or WebP file.`);
  }
  const { width, height } = bitmap;
  checkPixels(name, [height, width], pixels);
  return { blob, name: blob.name ?? "image", height, width, bitmap };
}

function checkPixels(name, [height, width], pixels) {
  if (height * width <= pixels) return;
  throw new Fault(
    `${name} has ${mega(height * width)} megapixels; at most ${mega(pixels)} can be taken. Choose a smaller image.`,
  );
}

const mega = (count) => (count / 1e6).toFixed(count < 1e7 ? 1 : 0);
