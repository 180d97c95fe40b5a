/**
 * A `Combobox` is a text field with a list to choose from, for thousands of options: by typing, by
 * the arrow keys or by the mouse (the pattern "editable combobox with list autocomplete" of ARIA).
 */

import { make } from "./dom.js";

const MOST = 100; // options in the list at once

export class Combobox {
  #options = [];
  #offered = [];
  #active = -1;
  #shown = "";

  /**
   * @param {HTMLInputElement} input With role combobox.
   * @param {{list: HTMLElement, popup: HTMLElement, note: HTMLElement}} parts
   * @param {(option: {id: number|null, label: string}) => void} pick Called with what is chosen.
   */
  constructor(input, { list, popup, note }, pick) {
    Object.assign(this, { input, list, popup, note, pick });
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.#open(""));
    input.addEventListener("input", () => this.#open(input.value));
    input.addEventListener("keydown", (event) => this.#press(event));
    input.addEventListener("blur", () => this.#close());
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field stays in focus
    list.addEventListener("click", ({ target }) => {
      const place = [...list.children].indexOf(target.closest("li"));
      if (place >= 0) this.#choose(place);
    });
  }

  /** @param {{id: number|null, label: string}[]} options All that can be chosen. */
  set options(options) {
    this.#options = options.map((one) => ({ ...one, folded: fold(one.label) }));
  }

  /** Show what is chosen. */
  show(label) {
    this.#shown = label;
    if (this.popup.hidden) this.input.value = label;
  }

  #open(typed) {
    const found = match(this.#options, fold(typed));
    this.#offered = found.slice(0, MOST);
    this.list.replaceChildren(
      ...this.#offered.map(({ label }, i) => make("li", { id: `${this.list.id}-${i}`, role: "option", "aria-selected": "false" }, label)),
    );
    const more = found.length - this.#offered.length;
    const none = typed && !found.length ? `No class matches “${typed}”.` : "";
    this.note.textContent = more ? `${more} more; type a part of the name.` : none;
    this.popup.hidden = false;
    this.input.ariaExpanded = "true";
    this.#move(typed && found.length ? 0 : -1);
  }

  #close() {
    this.popup.hidden = true;
    this.input.ariaExpanded = "false";
    this.input.removeAttribute("aria-activedescendant");
    this.input.value = this.#shown;
  }

  #move(place) {
    this.list.children[this.#active]?.setAttribute("aria-selected", "false");
    this.#active = place;
    const option = this.list.children[place];
    if (!option) return this.input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  #choose(place) {
    const option = this.#offered[place];
    this.#shown = option.label;
    this.#close();
    this.input.select(); // what is typed next replaces it
    this.pick(option);
  }

  #press(event) {
    const { key } = event;
    const open = !this.popup.hidden;
    const count = this.#offered.length;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (!open) return this.#open("");
      const step = key === "ArrowDown" ? 1 : -1;
      const start = this.#active < 0 && step < 0 ? 0 : this.#active;
      if (count) this.#move((start + step + count) % count);
    } else if (open && (key === "PageDown" || key === "PageUp")) {
      event.preventDefault();
      const step = key === "PageDown" ? 8 : -8;
      if (count) this.#move(Math.min(Math.max(this.#active + step, 0), count - 1));
    } else if (open && key === "Enter") {
      event.preventDefault();
      if (this.#active >= 0) this.#choose(this.#active);
    } else if (open && key === "Escape") {
      event.preventDefault();
      this.#close();
    }
  }
}

const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Return the options that contain a text: first those that begin with it, then words that do. */
function match(options, typed) {
  if (!typed) return options;
  const rank = ({ folded, id }) => {
    if (folded === typed || `${id}` === typed) return 0;
    if (folded.startsWith(typed)) return 1;
    if (folded.includes(` ${typed}`)) return 2;
    return folded.includes(typed) ? 3 : 4;
  };
  const ranked = options.map((one) => [rank(one), one]).filter(([place]) => place < 4);
  return ranked.sort(([a], [b]) => a - b).map(([, one]) => one);
}
