/** These functions say in words what is shown. */

const NOTHING = {
  zero: (subject, at) => `No evidence for ${subject} in this image${at}`,
  constant: (subject, at) => `The evidence for ${subject} is the same everywhere${at}`,
  nonfinite: (subject, at) => `The map of ${subject} has numbers that are not finite${at}`,
};

/** What is explained. */
export function subjectOf({ label, number, why }) {
  if (number === undefined) return `“${label}”`;
  const name = number ? `box ${number}, “${label}”` : `a candidate, “${label}”`;
  return !why || why === "class" ? name : `the ${why} edge of ${name}`;
}

/**
 * The sentence below a photograph.
 * @param {object|null} shown The explanation; null where a detector found nothing.
 * @param {string} status Of its map; see `normalise`.
 */
export function captionOf(shown, status, answer) {
  if (!shown) return nothingFound(answer);
  const subject = subjectOf(shown);
  if (status !== "ok") return NOTHING[status](subject, shown.layer ? " at this layer" : "");
  const inside = shown.share === null || shown.share === undefined ? "" : `; ${(100 * shown.share).toFixed(0)} % of it lies in the box`;
  return `${shown.signed ? "Evidence for and against" : "Evidence for"} ${subject}${inside}`;
}

function nothingFound({ best }) {
  const candidate = best ? `; the best candidate is “${best.label}” with ${best.probability.toFixed(3)}` : "";
  return `No box in this image${candidate}`;
}

/** The class's probability, the method and the layer. */
export function howOf({ method, layer, probability }, { methods }) {
  const title = methods.find(({ id }) => id === method)?.title ?? method;
  const share = Number.isFinite(probability) ? percentOf(probability) : "";
  return [title, layer, share].filter(Boolean).join(" · ");
}

/** A probability, in percent. */
export function percentOf(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

/** What both ends of the scale mean. */
export function endsOf({ signed }) {
  return signed ? ["against", "for"] : ["none", "most"];
}

/** A time, in milliseconds or seconds. */
export function durationOf(milliseconds) {
  if (milliseconds >= 2000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}
