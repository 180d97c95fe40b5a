// Runs one ONNX file in onnxruntime-web's WebAssembly: node run.mjs FILE THREADS
// Without a file it says whether onnxruntime-web is there.
// Reads requests from standard input and answers on standard output. Each message is two numbers
// (uint32, little-endian), the lengths of a JSON header and of the tensors' bytes, then both.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array,
                 uint8: Uint8Array, int8: Int8Array, bool: Uint8Array, float16: Uint16Array };
const [file, threads] = process.argv.slice(2);

function send(header, tensors = []) {
  const head = Buffer.from(JSON.stringify(header)), sizes = Buffer.alloc(8);
  const bodies = tensors.map((data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  sizes.writeUInt32LE(head.length, 0);
  sizes.writeUInt32LE(bodies.reduce((sum, one) => sum + one.length, 0), 4);
  process.stdout.write(Buffer.concat([sizes, head, ...bodies]));
}

const refused = (error) => send({ error: String(error?.message ?? error) });

let ort, session;
try {
  // From the folder that node was started in, as for any program there.
  const place = createRequire(join(process.cwd(), "any.js")).resolve("onnxruntime-web");
  ort = await import(pathToFileURL(place));
  ort = ort.default ?? ort;
} catch (error) {
  send({ missing: String(error.message).split("\n")[0] });
  process.exit(0);
}
if (!file) {
  send({ version: ort.env.versions.web });
  process.exit(0);
}
ort.env.logLevel = "error";
ort.env.wasm.numThreads = Number(threads);
try {
  const beside = `${file}.data`;
  const externalData = existsSync(beside)
    ? [{ path: basename(beside), data: new Uint8Array(readFileSync(beside)) }] : undefined;
  session = await ort.InferenceSession.create(readFileSync(file),
    { executionProviders: ["wasm"], logSeverityLevel: 3, ...(externalData && { externalData }) });
  send({ ready: true });
} catch (error) {
  refused(error);
  process.exit(0);
}

async function answer({ names, feeds }, body) {
  const given = {};
  for (const [name, { type, dims, start, stop }] of Object.entries(feeds)) {
    const data = body.buffer.slice(body.byteOffset + start, body.byteOffset + stop);
    given[name] = new ort.Tensor(type, new ARRAYS[type](data), dims);
  }
  const found = await session.run(given, names);
  const tensors = names.map((name) => found[name]);
  send({ tensors: tensors.map(({ type, dims }) => ({ type, dims })) }, tensors.map(({ data }) => data));
}

let waiting = Buffer.alloc(0);
for await (const chunk of process.stdin) {
  waiting = Buffer.concat([waiting, chunk]);
  while (waiting.length >= 8) {
    const head = 8 + waiting.readUInt32LE(0), end = head + waiting.readUInt32LE(4);
    if (waiting.length < end) break;
    try {
      await answer(JSON.parse(waiting.subarray(8, head)), waiting.subarray(head, end));
    } catch (error) {
      refused(error);
    }
    waiting = waiting.subarray(end);
  }
}
