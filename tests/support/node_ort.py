"""Run ONNX Runtime for a page's scripts in Node.js: a module in place of onnxruntime-web.

A browser needs neither. Node.js alone, without packages, can so run all of a page that draws
nothing; each run of a session is a process of Python.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

MODULE = """
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";

const ARRAYS = { float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array };
const call = (job) => {
  const [program, ...rest] = PYTHON;
  const done = spawnSync(program, rest, { input: JSON.stringify(job), maxBuffer: 1 << 28 });
  if (done.status) throw new Error(done.stderr.toString().trim().split("\\n").at(-1));
  return JSON.parse(done.stdout);
};
const coded = ({ type, data, dims }) => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { type, dims, data: bytes.toString("base64") };
};
const decoded = ({ type, data, dims }) =>
  new Tensor(type, new ARRAYS[type](new Uint8Array(Buffer.from(data, "base64")).buffer), dims);

export class Tensor {
  constructor(type, data, dims) { Object.assign(this, { type, data, dims }); }
}

export class InferenceSession {
  static async create(source) {
    const session = new InferenceSession();
    const given = typeof source === "string";
    session.path = given ? source.replace("file://", "") : FOLDER + "/session.onnx";
    if (!given) writeFileSync(session.path, source);
    session.inputMetadata = session.outputMetadata = [];
    session.inputNames = call({ path: session.path });
    return session;
  }
  async run(feeds, names) {
    const each = (values, change) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
    return each(call({ path: this.path, feeds: each(feeds, coded), names }), decoded);
  }
}
"""


def write_module(folder: Path) -> None:
    """Write the module where the page looks for onnxruntime-web."""
    (folder / "ort").mkdir(parents=True)
    program = json.dumps([sys.executable, str(Path(__file__))])
    path = folder / "ort" / "ort.wasm.min.mjs"
    names = f"const [PYTHON, FOLDER] = [{program}, {json.dumps(str(folder))}];\n"
    path.write_text(names + MODULE)


def run_node(node: str, folder: Path, script: str, given: Any) -> Any:
    """Run a module's text in Node.js, with ``given`` as JSON in `given`; return what it prints.

    Args:
        node: The program.
        folder: With the modules that it imports; its scripts are modules.
        script: JavaScript; the last expression is ``print(value)``.
        given: Plain JSON types.
    """
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "given.json").write_text(json.dumps(given))
    head = (
        'import { readFileSync } from "node:fs";\n'
        'const given = JSON.parse(readFileSync(new URL("given.json", import.meta.url)));\n'
        "const print = (value) => process.stdout.write(JSON.stringify(value));\n"
    )
    path = folder / "test.js"
    path.write_text(head + script)
    done = subprocess.run([node, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _serve(job: dict[str, Any]) -> Any:
    """Do one job of the module, in a process of its own."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(job["path"], providers=["CPUExecutionProvider"])
    if "feeds" not in job:
        return [port.name for port in session.get_inputs()]
    feeds = {
        name: np.frombuffer(base64.b64decode(one["data"]), one["type"]).reshape(one["dims"])
        for name, one in job["feeds"].items()
    }
    names = job.get("names") or [port.name for port in session.get_outputs()]
    got = session.run(names, feeds)
    return {
        name: {
            "type": value.dtype.name, "dims": value.shape,
            "data": base64.b64encode(value.tobytes()).decode(),
        }
        for name, value in zip(names, got, strict=True)
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_serve(json.load(sys.stdin))))
