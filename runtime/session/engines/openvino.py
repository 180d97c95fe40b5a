"""`OpenVino` opens files in OpenVINO, by its own interface."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Array, Engine, EngineSession, FileSession, own_words

SETTINGS = {
    # In float32, as the artifact says: its own choice is bfloat16 where the processor has that.
    "INFERENCE_PRECISION_HINT": "f32",
    # With open axes and several outputs 2026.4 computes garbage otherwise (docs/engines).
    "CPU_RUNTIME_CACHE_CAPACITY": 0,
}
"""What OpenVINO's CPU plug-in needs to compute what an artifact says."""


class OpenVino(Engine):
    """OpenVINO on the processor."""

    def start(self) -> Any:
        """See `Engine`."""
        return self.load("openvino").Core()

    def open(self, path: Path, threads: int | None) -> EngineSession:
        """See `Engine`."""
        return _OpenVino(self, path, threads)


class _OpenVino(FileSession):
    def __init__(self, engine: Engine, path: Path, threads: int | None) -> None:
        super().__init__(engine, path)
        core = engine.start()
        settings = {**SETTINGS, "PERFORMANCE_HINT": "LATENCY"} | (
            {} if threads is None else {"INFERENCE_NUM_THREADS": threads}
        )
        try:
            self._compiled = core.compile_model(core.read_model(path), "CPU", settings)
        except Exception as error:  # a RuntimeError of several lines
            raise engine.unread(path, own_words(str(error))) from error
        self._places = {name: port for port in self._compiled.outputs for name in port.names}
        self._local = threading.local()

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs ``names``; each thread has a request of its own."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        try:
            found = request.infer({name: np.ascontiguousarray(v) for name, v in feeds.items()})
        except RuntimeError as error:
            raise RuntimeError(own_words(str(error))) from error
        return [np.array(found[self._places[name]]) for name in names]
