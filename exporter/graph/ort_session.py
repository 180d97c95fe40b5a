"""`session_of` opens an ONNX Runtime session for a graph in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import onnx_ir as ir

Level: TypeAlias = Literal["all", "extended", "basic", "disable"]
LEVELS: tuple[Level, ...] = ("all", "extended", "basic", "disable")
"""ONNX Runtime's levels of graph optimisation; ``all`` is its default."""


def optimisation(level: Level) -> Any:
    """ONNX Runtime's own constant for a level."""
    import onnxruntime

    name = f"ORT_{'DISABLE_ALL' if level == 'disable' else f'ENABLE_{level.upper()}'}"
    return getattr(onnxruntime.GraphOptimizationLevel, name)


def session_of(model: ir.Model, folder: Path | None, level: Level = "disable") -> Any:
    """Return a session on the CPU, by default without optimisations: the graph runs unchanged.

    Args:
        model: The model.
        folder: The folder of its external data, if it has any.
        level: ONNX Runtime's level of graph optimisation.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = optimisation(level)
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
    if level == "disable":  # it copies weights; kernels of packed 4-bit weights need it
        options.add_session_config_entry("session.disable_prepacking", "1")
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
