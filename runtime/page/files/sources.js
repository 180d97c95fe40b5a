/** `watchSources` brings images from wherever they come: a file, a drop, the clipboard, the camera. */

import { photograph } from "./camera.js";
import { element, make } from "./dom.js";
import { Fault } from "./errors.js";

/**
 * @param {(blob: Blob) => void} take Called with each image file.
 * @param {(failure: Error) => void} fail Called with what went wrong.
 */
export function watchSources(take, fail) {
  const from = (task) => task().then((found) => found && take(found)).catch(fail);
  element.image.addEventListener("change", () => {
    if (element.image.files.length) take(element.image.files[0]);
    element.image.value = ""; // the same file again is a change, too
  });
  const sources = { file: () => element.image.click(), camera: () => from(photograph), paste: () => from(pasted) };
  for (const button of document.querySelectorAll("[data-source]")) {
    button.addEventListener("click", () => sources[button.dataset.source]());
    button.hidden = button.dataset.source === "paste" && !navigator.clipboard?.read;
  }
  addEventListener("paste", ({ clipboardData }) => {
    const [file] = clipboardData.files;
    if (file) take(file);
    else if (document.activeElement?.tagName !== "INPUT") fail(new Fault("There is no image on the clipboard."));
  });
  watchDrops(take);
}

async function pasted() {
  let items;
  try {
    items = await navigator.clipboard.read();
  } catch {
    throw new Fault("The clipboard is not allowed here. Press Ctrl V (on a Mac ⌘ V) instead.");
  }
  for (const item of items) {
    const type = item.types.find((one) => one.startsWith("image/"));
    if (type) return new File([await item.getType(type)], "pasted.png", { type });
  }
  throw new Fault("There is no image on the clipboard.");
}

function watchDrops(take) {
  const dragging = (is) => document.body.classList.toggle("dragging", is);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    dragging(true);
  });
  addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || dragging(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    [...event.dataTransfer.files].forEach(take);
  });
}

/** Offer example images as buttons. */
export function offerExamples(examples, take) {
  element["examples-field"].hidden = !examples.length;
  element.examples.replaceChildren(
    ...examples.map(({ address, words }) => {
      const button = make("button", { type: "button" }, make("img", { src: address, alt: words, loading: "lazy" }));
      button.addEventListener("click", () => take(address));
      return make("li", {}, button);
    }),
  );
}
