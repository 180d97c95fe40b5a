/**
 * `readRecord` reads an artifact's metadata, the JSON in `metadata_props["graftcam"]` of the file.
 *
 * onnxruntime-web has no API for metadata (microsoft/onnxruntime#16547), so the file is parsed.
 */

import { Fault } from "./errors.js";

const SPEC_VERSION = 3;
const METADATA_PROPS = 14; // ModelProto's field; its entries have a key (1) and a value (2)

/**
 * @param {Uint8Array} bytes An ONNX file.
 * @returns {object} The record that the folder runtime/spec describes.
 * @throws {Error} The file is not an artifact, or of a newer version.
 */
export function readRecord(bytes) {
  for (const [field, entry] of messages(bytes)) {
    if (field !== METADATA_PROPS) continue;
    const parts = Object.fromEntries(messages(entry));
    if (text(parts[1]) !== "graftcam") continue;
    const record = JSON.parse(text(parts[2]));
    if (record.version > SPEC_VERSION) {
      throw new Fault(`The artifact follows graftcam spec ${record.version}; this page knows ${SPEC_VERSION}.`);
    }
    return record;
  }
  throw new Fault("This file has no graftcam metadata; make one with: graftcam export ... --profile web");
}

/** Yield the length-delimited fields of a protobuf message, [number, bytes]; skip the others. */
function* messages(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Fault("This is not an ONNX file, or it is truncated.");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const fixed = { 1: 8, 5: 4 };
  while (at < bytes.length) {
    const tag = varint();
    const [field, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 0) {
      varint();
      continue;
    }
    const length = wire === 2 ? varint() : fixed[wire];
    if (!(at + length <= bytes.length)) throw new Fault("This is not an ONNX file, or it is truncated.");
    if (wire === 2) yield [field, bytes.subarray(at, at + length)];
    at += length;
  }
}

const text = (bytes) => new TextDecoder().decode(bytes);
