/**
 * Explain with ONNX Runtime for Node.js:
 *
 *     node explain.js MODEL.onnx PIXELS.f32 [CLASS]
 *
 * MODEL was exported with `--profile web`, since JavaScript cannot feed inputs that have a default.
 * PIXELS is the model's input for one image, float32 in the machine's byte order. A detector explains
 * its best box; CLASS is a class of that box.
 */

import { readFile } from "node:fs/promises";
import ort from "onnxruntime-node";
import { readRecord } from "../../runtime/page/files/record.js";

const [model, pixels, wanted = "-1"] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model);
for (const [kind, entries] of [["input", session.inputMetadata], ["output", session.outputMetadata]]) {
  for (const { name, type, shape } of entries) console.log(kind, name, type, `[${shape.join(", ")}]`);
}

const record = readRecord(await readFile(model));
const { input, size, mean, layout } = record.preprocess;
const { buffer, byteOffset, byteLength } = await readFile(pixels);
const values = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
const shape = layout === "nhwc" ? [1, ...size, mean.length] : [1, mean.length, ...size];
const { classes, scores, detector, layers: [layer] } = record;
const number = (value) => new ort.Tensor("int64", BigInt64Array.of(BigInt(value)), [1, 1]);
const box = detector && { [detector.box_index]: number(-1), [detector.box_target]: number(0) };
const found = await session.run({
  [input]: new ort.Tensor("float32", values, shape), [record.class_index]: number(wanted), ...box,
});
const id = Number(found[classes].data[0]);
const heatmap = found[detector ? detector.heatmap : layer.heatmap];
if (detector) console.log("box", [...found[detector.boxes].data].join(" "));
console.log("class", id, record.labels?.[id] ?? "");
console.log("score", found[scores].data[0]);
console.log("heatmap", `[${heatmap.dims.join(", ")}]`, "maximum", heatmap.data.reduce((a, b) => Math.max(a, b)));
