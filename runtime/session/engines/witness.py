"""`Onnx` and `Tinygrad` open files in evaluators that share no kernel with ONNX Runtime.

They are slow, and serve as further witnesses of what a graph means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Array, Engine, EngineSession, FileSession, own_words


class Onnx(Engine):
    """The package onnx's own evaluator."""

    def start(self) -> Any:
        """See `Engine`."""
        return self.load("onnx.reference").ReferenceEvaluator

    def open(self, path: Path, threads: int | None) -> EngineSession:
        """See `Engine`; threads are numpy's."""
        return _Onnx(self, path)


class _Onnx(FileSession):
    def __init__(self, engine: Engine, path: Path) -> None:
        super().__init__(engine, path)
        evaluator = engine.start()
        try:
            self._evaluator = evaluator(str(path))
        except Exception as error:  # of whatever the file holds
            raise engine.unread(path, own_words(str(error))) from error

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs ``names``."""
        return [np.asarray(one) for one in self._evaluator.run([*names], dict(feeds))]


class Tinygrad(Engine):
    """tinygrad's reader of ONNX files, on the processor."""

    def start(self) -> Any:
        """See `Engine`; tinygrad compiles its kernels."""
        runner = self.load("tinygrad.nn.onnx").OnnxRunner
        try:
            self.load("tinygrad").Tensor([1.0]).realize()
        except Exception as error:  # of many kinds
            raise self.missing(own_words(str(error))) from error
        return runner

    def open(self, path: Path, threads: int | None) -> EngineSession:
        """See `Engine`; it has one thread."""
        return _Tinygrad(self, path)


class _Tinygrad(FileSession):
    def __init__(self, engine: Engine, path: Path) -> None:
        super().__init__(engine, path)
        self._new = engine.start()
        self._runners: dict[object, Any] = {}
        try:
            self._new(path)
        except Exception as error:  # of whatever the file holds
            raise engine.unread(path, own_words(str(error))) from error

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs ``names``; a runner takes no other extents than those of its first run."""
        shapes = tuple((name, value.shape) for name, value in feeds.items())
        if shapes not in self._runners:
            self._runners[shapes] = self._new(self.path)
        found = self._runners[shapes]({name: np.ascontiguousarray(v) for name, v in feeds.items()})
        return [found[name].numpy() for name in names]
