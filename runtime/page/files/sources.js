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
  watchDrops(take, fail);
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

function watchDrops(take, fail) {
  const dragging = (is) => document.body.classList.toggle("dragging", is);
  addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser leaves the page for what is dropped
    dragging(event.dataTransfer.types.includes("Files"));
  });
  addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || dragging(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    const files = [...event.dataTransfer.files];
    const images = files.filter((file) => !isModel(file));
    if (!files.length) fail(new Fault("This is not a file. Save the image first, then drop its file."));
    files.filter((file) => isModel(file) || file === images[0]).forEach(take);
    if (images.length > 1) fail(new Fault(`${images.length} images were dropped; ${images[0].name} is shown.`));
  });
}

/** Whether a file's name is that of a model. */
export const isModel = ({ name }) => /\.onnx$/i.test(name);

/**
 * Fetch an example image.
 * @param {string} address
 * @returns {Promise<File>}
 * @throws {Fault} It does not come.
 */
export async function exampleAt(address) {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) throw new Fault(`${address} cannot be loaded.`, { retry: true });
  const blob = await answer.blob();
  return new File([blob], address.split("/").at(-1), { type: blob.type });
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
