/** These functions show what can be explained: buttons of a list, and boxes over the image. */

const SVG = "http://www.w3.org/2000/svg";
const TALL = 4; // height of a number, in hundredths of the image's longer side

/**
 * Return a list's item with a button: a label, a bar and a number.
 * @param {{label: string, share: number, text: string, pressed: boolean}} shown
 * @param {() => void} pick Called on a click.
 */
export function choice({ label, share, text, pressed }, pick) {
  const [item, button] = ["li", "button"].map((tag) => document.createElement(tag));
  button.type = "button";
  button.ariaPressed = pressed;
  button.append(...["label", "bar", "share"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    return part;
  }));
  button.children[0].textContent = button.title = label;
  button.children[1].style.setProperty("--share", share);
  button.children[2].textContent = text;
  button.addEventListener("click", pick);
  item.append(button);
  return item;
}

/**
 * Draw numbered boxes that can be clicked. A small box lies above a large one around it.
 * @param {SVGElement} layer It covers the image as the canvas does.
 * @param {object[]} boxes Of `Artifact.detect`.
 * @param {{width: number, height: number}} image
 * @param {object} chosen The explained one.
 * @param {(box: object) => void} pick Called with the box that is clicked.
 */
export function drawBoxes(layer, boxes, { width, height }, chosen, pick) {
  layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const unit = Math.max(width, height) / 100;
  const area = ({ corners: [left, top, right, bottom] }) => (right - left) * (bottom - top);
  const drawn = boxes.map((box, i) => {
    const [left, top, right, bottom] = box.corners;
    const group = shape("g", { class: box === chosen ? "box chosen" : "box" });
    const about = shape("title");
    about.textContent = `${i + 1} ${box.label} ${box.probability.toFixed(2)}`;
    const frame = shape("rect", { x: left, y: top, width: right - left, height: bottom - top });
    const y = numberAt(top, bottom, height, unit);
    const number = shape("text", { x: left, y, "font-size": TALL * unit });
    number.textContent = i + 1;
    group.append(about, frame, number);
    group.addEventListener("click", () => pick(box));
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
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  return element;
}
