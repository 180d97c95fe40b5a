"""This module runs artifacts in ONNX Runtime, at any level of optimisation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from ..errors import VerificationError, first_line

Array = npt.NDArray[Any]
Tensors: TypeAlias = dict[str, Array]
Draw: TypeAlias = Callable[[int, int, int], Tensors]
"""Makes the model's own inputs by name, the same for the same arguments: the number of images, the
cells by which open sizes grow, and a seed."""
Level: TypeAlias = Literal["all", "extended", "basic", "disable"]
LEVELS: tuple[Level, ...] = ("all", "extended", "basic", "disable")
"""ONNX Runtime's levels of graph optimisation; ``all`` is its default."""


def load_session(path: Path, *, level: Level = "all", integer_kernels: bool = True) -> Any:
    """Open a session on the CPU; without ``integer_kernels`` quantised models compute in floats."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    name = f"ORT_{'DISABLE_ALL' if level == 'disable' else f'ENABLE_{level.upper()}'}"
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, name)
    if not integer_kernels:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = first_line(error)
        raise VerificationError(f"ONNX Runtime cannot load {path.name}: {reason}") from error


def run_session(session: Any, feeds: Mapping[str, Array]) -> Tensors:
    """All outputs by name."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:
        reason = first_line(error)
        raise VerificationError(f"ONNX Runtime cannot run the artifact: {reason}") from error


def some_rows(feeds: Tensors, rows: slice, batched: Collection[str]) -> Tensors:
    """Part of the images; inputs other than ``batched``, which have no axis of images, whole."""
    return {name: value[rows] if name in batched else value for name, value in feeds.items()}
