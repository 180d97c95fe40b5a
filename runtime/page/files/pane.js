/** A `Pane` shows one explanation: the photograph, the heatmap over it, and what they say. */

import { drawBoxes } from "./choices.js";
import { element } from "./dom.js";
import { normalise, paint, paintGrey, project } from "./heatmap.js";
import { paintScale } from "./palette.js";
import { captionOf, endsOf, howOf } from "./words.js";

const LARGEST = 1280; // pixels of the longer drawn side; more would only be slower
const LARGEST_FILE = 4096;

export class Pane {
  #image;
  #values;

  constructor(letter) {
    this.figure = element.pane.content.firstElementChild.cloneNode(true);
    for (const name of ["frame", "photo", "heat", "boxes", "letter", "caption", "how", "scale", "low", "high"]) {
      this[name] = this.figure.querySelector(`.${name}`);
    }
    this.letter.textContent = letter;
  }

  /** Show a photograph alone. */
  showImage(image) {
    this.#image = image;
    const [height, width] = within(image, LARGEST);
    Object.assign(this.photo, { width, height });
    const context = this.photo.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image.bitmap, 0, 0, width, height);
    this.figure.style.setProperty("--ratio", image.width / image.height);
    this.clear("", "");
  }

  /** Take away the heatmap. */
  clear(caption, how) {
    this.shown = null;
    Object.assign(this.heat, { width: 1, height: 1 });
    this.boxes.replaceChildren();
    this.#say(caption, how);
    this.scale.hidden = true;
  }

  #say(caption, how) {
    this.caption.textContent = caption;
    this.how.textContent = how;
    this.heat.ariaLabel = caption || "No heatmap yet";
  }

  /**
   * Show what an engine answered.
   * @param {object} answer See app.js.
   * @param {object} model
   * @param {(number: number) => void} pick Called with the number of a box that is clicked.
   */
  show(answer, model, pick) {
    const { shown, detections } = answer;
    if (shown) {
      const { values, status } = normalise(shown.map, shown.signed, shown.method);
      [this.shown, this.#values] = [shown, values];
      const [height, width] = within(this.#image, LARGEST);
      Object.assign(this.heat, { width, height });
      this.heat.getContext("2d").putImageData(this.#painted(paint, [height, width]), 0, 0);
      this.#say(captionOf(shown, status), howOf(shown, model));
      this.scale.hidden = status !== "ok";
      paintScale(this.scale.querySelector("canvas"), shown.signed);
      [this.low.textContent, this.high.textContent] = endsOf(shown);
    } else {
      this.clear(captionOf(null, null, answer), "");
    }
    if (!detections) return;
    // Below the threshold nothing is detected, and the best candidate can still be explained.
    const below = shown?.number === 0;
    const drawn = below ? [answer.best] : detections;
    drawBoxes(this.boxes, drawn, this.#image, shown ? shown.number || 1 : null, below ? () => pick(0) : pick);
  }

  #painted(how, [height, width]) {
    const { grid, place, signed } = this.shown;
    const factor = width / this.#image.width;
    const drawn = place.map((value) => value * factor);
    return how(project(this.#values, grid, drawn, [height, width]), height, width, signed);
  }

  /** Return the photograph with the heatmap over it, as a PNG of its own size, or of 4096 pixels along its longer side. */
  async overlay(opacity) {
    const { context, size } = this.#canvas();
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#image.bitmap, 0, 0, size[1], size[0]);
    const heat = new OffscreenCanvas(size[1], size[0]);
    heat.getContext("2d").putImageData(this.#painted(paint, size), 0, 0);
    context.globalAlpha = opacity;
    context.drawImage(heat, 0, 0);
    return context.canvas.convertToBlob();
  }

  /** Return the heatmap as a grey PNG of the photograph's size. */
  async heatmap() {
    const { context, size } = this.#canvas();
    context.putImageData(this.#painted(paintGrey, size), 0, 0);
    return context.canvas.convertToBlob();
  }

  #canvas() {
    const size = within(this.#image, LARGEST_FILE);
    const context = new OffscreenCanvas(size[1], size[0]).getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, size[1], size[0]);
    return { context, size };
  }
}

/** Return height and width of an image, shrunk if its longer side is longer than `most`. */
function within({ height, width }, most) {
  const shrunk = Math.min(1, most / Math.max(width, height));
  return [height, width].map((length) => Math.max(1, Math.round(length * shrunk)));
}
