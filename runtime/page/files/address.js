/** What is shown is in the page's address, so that a link leads to it; the image never is. */

const NAMES = ["model", "output", "class", "layer", "method"];

/** Return what the address asks for; what it does not name is left out. */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
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
