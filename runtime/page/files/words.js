/** These functions say in words what is shown. */

// Methods whose map is the same for all classes, and those of what speaks against a class.
const OF_NO_CLASS = ["eigencam", "kpcacam", "fem", "attention", "rollout"];
const AGAINST = ["counterfactual"];
const NOTHING = {
  zero: (evidence, at) => `No ${evidence} in this image${at}`,
  constant: (evidence, at) => `The ${evidence} is the same everywhere${at}`,
  nonfinite: (evidence, at) => `The map of the ${evidence} has numbers that are not finite${at}`,
};

/** What is explained. */
function subjectOf({ label, number, why }) {
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
  const evidence = evidenceOf(shown);
  if (status !== "ok") return NOTHING[status](evidence, shown.layer ? " at this layer" : "");
  const inside = shown.share === null || shown.share === undefined ? "" : `; ${(100 * shown.share).toFixed(0)} % of it lies in the box`;
  return `${evidence[0].toUpperCase()}${evidence.slice(1)}${inside}`;
}

function evidenceOf(shown) {
  const { method, signed } = shown;
  if (OF_NO_CLASS.includes(method)) return "evidence of what stands out, whichever the class";
  const way = signed ? "for and against" : AGAINST.includes(method) ? "against" : "for";
  return `evidence ${way} ${subjectOf(shown)}`;
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
