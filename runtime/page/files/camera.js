/** `photograph` takes a photograph with the camera of this computer or phone. */

import { element } from "./dom.js";
import { Fault } from "./errors.js";

const REASONS = {
  NotAllowedError: "The camera is not allowed here. Allow it beside this page's address, or choose a file.",
  NotFoundError: "There is no camera here. Choose a file instead.",
  NotReadableError: "The camera is in use by another program. Close that, or choose a file.",
};

let busy = false;

/**
 * Show the camera's image until a photograph is taken.
 * @returns {Promise<File|null>} The photograph; null if the reader cancels.
 * @throws {Fault} There is no camera, or the reader or the system forbids it.
 */
export async function photograph() {
  // Without https the browser offers no camera; a phone then opens its own.
  if (!navigator.mediaDevices?.getUserMedia) return fromPhone();
  if (busy) return null; // the browser is still asking for leave
  busy = true;
  try {
    return await watched(await opened("environment"));
  } finally {
    busy = false;
  }
}

/** Show a camera's stream until a photograph is taken; then no camera is on. */
async function watched(stream) {
  const { camera, preview, turn, shoot } = element;
  let facing = "environment";
  let ended = false;
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  const watch = async (found) => {
    stream = found;
    if (ended) return stop(); // it came after the reader left
    preview.srcObject = stream;
    await preview.play();
    shoot.disabled = false;
  };
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    turn.hidden = devices.filter(({ kind }) => kind === "videoinput").length < 2;
    shoot.disabled = true;
    camera.showModal();
    return await new Promise((resolve, reject) => {
      camera.onclose = () => resolve(null);
      element["camera-close"].onclick = () => camera.close();
      turn.onclick = () => {
        facing = facing === "user" ? "environment" : "user";
        shoot.disabled = true;
        stop();
        opened(facing).then(watch).catch(reject);
      };
      shoot.onclick = () => still(preview).then(resolve, reject);
      watch(stream).catch(reject);
    });
  } finally {
    ended = true;
    stop();
    preview.srcObject = null;
    camera.onclose = null;
    camera.close();
  }
}

async function opened(facing) {
  try {
    const size = { width: { ideal: 1920 }, height: { ideal: 1080 } };
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, ...size } });
  } catch ({ name, message }) {
    throw new Fault(REASONS[name] ?? `The camera cannot be used: ${message}. Choose a file instead.`);
  }
}

async function still(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  return new File([blob], "photograph.jpg", { type: "image/jpeg" });
}

function fromPhone() {
  return new Promise((resolve) => {
    const { phone } = element;
    phone.onchange = () => resolve(phone.files[0] ?? null);
    phone.oncancel = () => resolve(null);
    phone.value = "";
    phone.click();
  });
}
