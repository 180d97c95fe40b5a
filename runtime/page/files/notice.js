/** These functions say what goes on, and what went wrong. */

import { element } from "./dom.js";
import { Fault } from "./errors.js";

const SLOW = 3000; // milliseconds after which the time is shown

let clock;
let later;

/** Say in a sentence what went wrong; `again` is called if the reader tries once more. */
export function fail(error, again) {
  if (error.name === "AbortError") return;
  const { notice, retry } = element;
  const known = error instanceof Fault;
  const words = known ? error.message : `Something went wrong: ${firstLine(error.message ?? error)}`;
  const wait = known ? error.wait : 0;
  element["notice-words"].textContent = wait ? `${words} Trying again in ${wait} s.` : words;
  const go = () => {
    quiet();
    again();
  };
  retry.hidden = !(again && (error.retry || !known));
  retry.onclick = go;
  notice.hidden = false;
  clearTimeout(later);
  if (wait && again) later = setTimeout(go, 1000 * wait);
  if (!known) console.warn(error);
}

/** Take the message away. */
export function quiet() {
  clearTimeout(later);
  element.notice.hidden = true;
}

/**
 * Say that something is done; after a while, for how long already, with a button that stops it. An
 * empty text ends that.
 */
export function busy(words, stop) {
  clearInterval(clock);
  element.stop.hidden = true;
  document.body.dataset.busy = words ? "true" : "false";
  tell(words);
  if (!words) return;
  const started = performance.now();
  clock = setInterval(() => {
    const passed = performance.now() - started;
    if (passed < SLOW) return;
    tell(`${words} ${Math.round(passed / 1000)} s so far.`);
    element.stop.hidden = !stop;
    element.stop.onclick = stop;
  }, 1000);
}

/** Say something that is done. */
export function say(words) {
  busy("");
  tell(words);
}

/** Write the line beside the image, and before there is one the line on the start. */
function tell(words) {
  for (const line of [element.status, element.loading]) line.textContent = words;
}

const firstLine = (text) => `${text}`.split("\n")[0].slice(0, 300);

element.dismiss.addEventListener("click", quiet);
