/** `photograph` takes a photograph with the camera of this computer or phone. */

import { element } from "./dom.js";
import { Fault } from "./errors.js";

const REASONS = {
  NotAllowedError: "The camera is not allowed here. Allow it beside this page's address, or choose a file.",
  NotFoundError: "There is no camera here. Choose a file instead.",
  NotReadableError: "The camera is in use by another program. Close that, or choose a file.",
};

/**
 * Show the camera's image until a photograph is taken.
 * @returns {Promise<File|null>} The photograph; null if the reader cancels.
 * @throws {Fault} There is no camera, or the reader or the system forbids it.
 */
export async function photograph() {
  // Without https the browser offers no camera; a phone then opens its own.
  if (!navigator.mediaDevices?.getUserMedia) return fromPhone();
  let facing = "environment";
  let stream = await opened(facing);
  const { camera, preview, turn, shoot } = element;
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
  turn.hidden = cameras.length < 2;
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  const watch = async () => {
    preview.srcObject = stream;
    await preview.play();
  };
  camera.showModal();
  try {
    await watch();
    return await new Promise((resolve, reject) => {
      camera.onclose = () => resolve(null);
      element["camera-close"].onclick = () => camera.close();
      turn.onclick = () => {
        facing = facing === "user" ? "environment" : "user";
        stop();
        opened(facing).then((found) => ((stream = found), watch())).catch(reject);
      };
      shoot.onclick = () => still(preview).then(resolve, reject);
    });
  } finally {
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
