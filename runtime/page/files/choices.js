/** These functions show what can be explained: buttons of a list, and boxes over the image. */

import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const TALL = 4; // height of a number, in hundredths of the image's longer side

/**
 * Return a list's item with a button: a label, a bar and a number.
 * @param {{label: string, share: number, text: string, pressed: boolean}} shown
 * @param {() => void} pick Called on a click.
 */
export function choice({ label, share, text, pressed }, pick) {
  const bar = make("span", { className: "bar" });
  bar.style.setProperty("--share", share);
  const name = make("span", { className: "label", title: label }, label);
  const button = make("button", { type: "button", ariaPressed: pressed }, name, make("span", { className: "share" }, text), bar);
  button.addEventListener("click", pick);
  return make("li", {}, button);
}

/**
 * Draw numbered boxes that can be clicked. A small box lies above a large one around it.
 * @param {SVGElement} layer It covers the image as the canvas does.
 * @param {object[]} boxes Of `Artifact.detect`.
 * @param {{width: number, height: number}} image
 * @param {number|null} chosen The number of the explained one, from 1.
 * @param {(number: number) => void} pick Called with the number of the box that is clicked.
 */
export function drawBoxes(layer, boxes, { width, height }, chosen, pick) {
  layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const unit = Math.max(width, height) / 100;
  const area = ({ corners: [left, top, right, bottom] }) => (right - left) * (bottom - top);
  const drawn = boxes.map((box, i) => {
    const [left, top, right, bottom] = box.corners;
    const group = shape("g", { class: i + 1 === chosen ? "box chosen" : "box" });
    const about = shape("title");
    about.textContent = `${i + 1} ${box.label} ${box.probability.toFixed(2)}`;
    const frame = shape("rect", { x: left, y: top, width: right - left, height: bottom - top });
    const y = numberAt(top, bottom, height, unit);
    const number = shape("text", { x: left, y, "font-size": TALL * unit });
    number.textContent = i + 1;
    group.append(about, frame, number);
    group.addEventListener("click", () => pick(i + 1));
    return [box, group];
  });
  layer.replaceChildren(...drawn.sort(([a], [b]) => area(b) - area(a)).map(([, group]) => group));
}

/** Where a box's number stands: above the box, or below, so that it hides no map; else inside. */
function numberAt(top, bottom, height, unit) {
  if (top >= TALL * unit) return top - unit;
  return bottom + TALL * unit <= height ? bottom + TALL * unit : top + TALL * unit;
}

function shape(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
}
