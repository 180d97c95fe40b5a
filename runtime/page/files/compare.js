/** `Compare` shows one explanation or two: side by side, or with a border that can be moved. */

import { element } from "./dom.js";
import { Pane } from "./pane.js";

export class Compare {
  side = 0;
  shown = [0];

  /** @param {{begin: () => void, choose: () => void, end: () => void}} on Called when that happens. */
  constructor(on) {
    this.panes = [new Pane("A"), new Pane("B")];
    this.panes.forEach(({ figure }, side) => {
      figure.dataset.side = side;
      figure.addEventListener("pointerdown", () => this.shown.length > 1 && this.#view() !== "swipe" && this.#choose(side, on));
    });
    element.panes.append(this.panes[0].figure);
    element.compare.addEventListener("click", () => (this.shown.length > 1 ? this.#end(on) : this.#begin(on)));
    for (const input of document.getElementsByName("side")) {
      input.addEventListener("change", () => this.#choose(+input.value, on));
    }
    for (const input of document.getElementsByName("view")) input.addEventListener("change", () => this.#arrange());
    element.swipe.addEventListener("input", () => this.#swipe());
    for (const kind of ["pointerdown", "pointermove"]) {
      element.panes.addEventListener(kind, (event) => this.#drag(event));
    }
  }

  #begin(on) {
    this.shown = [0, 1];
    element.panes.append(this.panes[1].figure);
    this.#arrange();
    on.begin();
    this.#choose(1, on);
  }

  #end(on) {
    this.shown = [0];
    this.panes[1].figure.remove();
    this.#arrange();
    this.#choose(0, on);
    on.end();
  }

  #choose(side, on) {
    this.side = side;
    document.getElementsByName("side")[side].checked = true;
    this.panes.forEach(({ figure }, i) => figure.classList.toggle("chosen", this.shown.length > 1 && i === side));
    on.choose();
  }

  #view() {
    return [...document.getElementsByName("view")].find(({ checked }) => checked).value;
  }

  #arrange() {
    const two = this.shown.length > 1;
    const view = two ? this.#view() : "one";
    element.compare.ariaPressed = two;
    element.panes.dataset.view = view;
    for (const part of [element.view, element.side]) part.hidden = !two;
    element["swipe-field"].hidden = view !== "swipe";
    this.#swipe();
  }

  #swipe() {
    element.panes.style.setProperty("--swipe", `${element.swipe.value}%`);
  }

  #drag(event) {
    if (element.panes.dataset.view !== "swipe" || !event.buttons || !event.target.closest(".frame")) return;
    const { left, width } = this.panes[0].frame.getBoundingClientRect();
    element.swipe.value = Math.round((100 * (event.clientX - left)) / width);
    this.#swipe();
  }
}
