"""ONNX Runtime on the CPU, on one thread: test processes share the cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def open_session(model: Path | bytes, level: Any = None) -> onnxruntime.InferenceSession:
    """Load a model without a word about what ONNX Runtime thinks of it.

    Args:
        model: A file or its bytes.
        level: An ``onnxruntime.GraphOptimizationLevel``; all optimisations by default.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if level is not None:
        options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def results(session: onnxruntime.InferenceSession, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return every output of an opened model by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def run(model: Path | bytes, feeds: dict[str, Any], level: Any = None) -> dict[str, np.ndarray]:
    """Return every output of a model by name."""
    return results(open_session(model, level), feeds)
