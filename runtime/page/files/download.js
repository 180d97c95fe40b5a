/** `download` gives the reader a file: the overlay, the heatmap, or everything as JSON. */

import { make } from "./dom.js";

/**
 * @param {string} kind "overlay", "heatmap" or "json".
 * @param {import("./pane.js").Pane} pane
 * @param {{image: object, model: object, answer: object, opacity: number}} about
 */
export async function download(kind, pane, { image, model, answer, opacity }) {
  const stem = `${image.name.replace(/\.[^.]*$/, "")}-${pane.shown.label}`.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  if (kind === "json") {
    const text = JSON.stringify(recordOf(pane.shown, { image, model, answer }), null, 2);
    return save(new Blob([text], { type: "application/json" }), `${stem}.json`);
  }
  const made = kind === "overlay" ? await pane.overlay(opacity) : await pane.heatmap();
  return save(made, `${stem}${kind === "overlay" ? "" : "-heatmap"}.png`);
}

function recordOf(shown, { image: { name, width, height }, model, answer }) {
  const { map, grid, placement, probabilities, share, number, ...about } = shown;
  return {
    model: model.name,
    digest: model.digest,
    image: { name, width, height },
    predictions: answer.predictions,
    detections: answer.detections,
    ...about,
    map: { shape: grid, values: [...map] },
  };
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
