/** What is shown is in the page's address, so that a link leads to it; the image never is. */

const NAMES = ["model", "output", "class", "layer", "method"];

/** Return what the address asks for; what it does not name is left out. */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
}

/**
 * Return what an address asks for as far as a model has it, and sentences about what it has not.
 * @returns {{ask: import("./app.js").Ask, missing: string[]}}
 */
export function askedOf(model, { class: named, output, layer, method }) {
  const [ask, missing] = [{}, []];
  const known = { output: model.outputs, layer: model.layers.map(({ name }) => name), method: model.methods.map(({ id }) => id) };
  for (const [name, value] of Object.entries({ output, layer, method })) {
    if (value === undefined) continue;
    if (known[name].includes(value)) ask[name] = value;
    else missing.push(`${model.name} has no ${name} “${value}”; the first one is shown.`);
  }
  if (named !== undefined && model.kind !== "detector") {
    const labels = model.labels(ask.output);
    const id = labels.includes(named) ? labels.indexOf(named) : /^\d+$/.test(named) && labels[+named] !== undefined ? +named : -1;
    if (id >= 0) ask.class = id;
    else missing.push(`${model.name} has no class “${named}”; the predicted one is shown.`);
  }
  return { ask, missing };
}

/** Return what `askedOf` knows a class by: its label, or its number where several have that label. */
export function nameOf(model, output, id) {
  const labels = model.labels(output);
  return labels.indexOf(labels[id]) === id ? labels[id] : id;
}

/** Put into the address what is shown; undefined and null leave out. */
export function writeAddress(shown) {
  const address = new URL(location.href);
  for (const name of NAMES) {
    if (shown[name] === undefined || shown[name] === null) address.searchParams.delete(name);
    else address.searchParams.set(name, shown[name]);
  }
  history.replaceState(null, "", address);
}
