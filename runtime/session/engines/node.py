"""`Web` opens files in ONNX Runtime's WebAssembly (onnxruntime-web), in Node.js.

It is what a browser runs. The file is opened in a process of Node.js, which takes requests through
a pipe; see ``run.mjs``.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from .engine import Array, Engine, EngineSession, FileSession, own_words

_SCRIPT = Path(__file__).with_name("run.mjs")
_SIZES = struct.Struct("<II")  # of a message's header and of its tensors


class Web(Engine):
    """WebAssembly in Node.js."""

    def start(self) -> str:
        """Find Node.js and the package; see `Engine`."""
        self.version()
        return self.node()

    def node(self) -> str:
        """Find Node.js.

        Raises:
            SessionError: It is not installed.
        """
        node = shutil.which("node")
        if node is None:
            raise self.missing("there is no `node` on the path")
        return node

    def version(self) -> str:
        """See `Engine`; Node.js says it."""
        found = subprocess.run([self.node(), str(_SCRIPT)], check=False, capture_output=True)
        answer = json.loads(found.stdout[_SIZES.size :] or '{"missing": "node fails"}')
        if "missing" in answer:
            raise self.missing(own_words(answer["missing"]))
        return answer["version"]

    def open(self, path: Path, threads: int | None) -> EngineSession:
        """See `Engine`."""
        return _Web(self, path, threads)


class _Web(FileSession):
    def __init__(self, engine: Web, path: Path, threads: int | None) -> None:
        super().__init__(engine, path)
        node = engine.node()  # the process that opens the file says if the package is missing
        command = [node, str(_SCRIPT), str(path.resolve()), str(threads or 1)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL)  # fmt: skip
        weakref.finalize(self, _end, self._process)
        self._lock = threading.Lock()
        found, _ = self._receive()
        if "missing" in found:
            raise engine.missing(own_words(found["missing"]))
        if "error" in found:
            raise engine.unread(path, own_words(found["error"]))

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs ``names``, one request after the other."""
        arrays = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
        stops = np.cumsum([value.nbytes for value in arrays.values()], dtype=np.int64).tolist()
        ports = {
            name: {"type": value.dtype.name, "dims": value.shape,
                   "start": stop - value.nbytes, "stop": stop}
            for (name, value), stop in zip(arrays.items(), stops, strict=True)
        }  # fmt: skip
        head = json.dumps({"names": [*names], "feeds": ports}).encode()
        size = sum(value.nbytes for value in arrays.values())
        with self._lock:
            pipe = cast("IO[bytes]", self._process.stdin)
            pipe.write(_SIZES.pack(len(head), size) + head)
            for value in arrays.values():
                pipe.write(value.tobytes())
            pipe.flush()
            found, body = self._receive()
        if "error" in found:
            raise RuntimeError(own_words(found["error"]))
        results, start = list[Array](), 0
        for one in found["tensors"]:
            dtype = np.dtype(one["type"])
            count = math.prod(one["dims"])
            values = np.frombuffer(body, dtype, count, start).reshape(one["dims"])
            results.append(values.copy())
            start += count * dtype.itemsize
        return results

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        pipe = cast("IO[bytes]", self._process.stdout)
        sizes = pipe.read(_SIZES.size)
        if len(sizes) < _SIZES.size:
            raise RuntimeError(f"node ended with exit code {self._process.wait()}")
        head, body = _SIZES.unpack(sizes)
        return json.loads(pipe.read(head)), pipe.read(body)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
