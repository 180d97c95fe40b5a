// Does a job (see job.py) in onnxruntime-web, in WebAssembly: node wasm.mjs FOLDER MODULE
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const WARM_UPS = 3, FEWEST = 3; // as in child.py
const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array,
                 int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };
const [folder, module] = process.argv.slice(2);
const ort = await import(pathToFileURL(module));
const job = JSON.parse(readFileSync(join(folder, "job.json")));
ort.env.wasm.numThreads = job.threads;
ort.env.logLevel = "error";

function tensor({ dtype, shape, file }) {
  const bytes = readFileSync(join(folder, file));
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return new ort.Tensor(dtype, new ARRAYS[dtype](data), shape);
}

function written([name, { type, dims, data }], number) {
  const file = `${number}.out`;
  writeFileSync(join(folder, file), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return [name, { dtype: type, shape: dims, file }];
}

function finish(result) {
  writeFileSync(join(folder, "result.tmp"), JSON.stringify(result));
  renameSync(join(folder, "result.tmp"), join(folder, "result.json"));
  process.exit(0);
}

const refused = (state, error, model) => finish(
  { state, reason: String(error.message ?? error).replace(/\s+/g, " ").slice(0, 300), model, device });

const device = `Node.js ${process.version}, ${job.threads} thread${job.threads > 1 ? "s" : ""}`;
const sessions = {}, runs = {};
for (const [name, { path }] of Object.entries(job.calls)) {
  try {
    const options = { executionProviders: ["wasm"] };
    sessions[name] = await ort.InferenceSession.create(readFileSync(path), options);
  } catch (error) { refused("unread", error, name); }
}
let values = {};
for (const [name, { feeds, fetch }] of Object.entries(job.calls)) {
  if (!job.rounds && name !== "compared") continue;
  const given = Object.fromEntries(Object.entries(feeds).map(([key, one]) => [key, tensor(one)]));
  runs[name] = () => sessions[name].run(given, fetch);
  try {
    const found = await runs[name]();
    if (name === "compared") {
      values = Object.fromEntries(fetch.map((key) => [key, found[key]]).map(written));
    }
  } catch (error) { refused("failed", error, name); }
}
delete runs.compared;
if (!job.rounds) finish({ state: "ran", device, times: {}, values });

const order = Object.keys(runs), times = Object.fromEntries(order.map((name) => [name, []]));
const clock = async (name) => {
  const start = performance.now();
  await runs[name]();
  return performance.now() - start;
};
let turn = 0; // seconds
for (let count = 0; count < WARM_UPS; count++) {
  turn = 0;
  for (const name of order) turn += await clock(name) / 1000;
}
const room = Math.floor((job.seconds - turn * WARM_UPS) / turn);
const rounds = Math.max(FEWEST, Math.min(job.rounds, room));
for (let round = 0; round < rounds; round++) {
  order.push(...order.splice(0, 1 + round % order.length)); // no run always follows the same one
  for (const name of order) times[name].push(await clock(name));
}
finish({ state: "ran", device, times, values });
