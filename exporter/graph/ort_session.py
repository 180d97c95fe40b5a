"""`session_of` opens an ONNX Runtime session for a graph in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeGuard

import numpy as np
import onnx_ir as ir

from ..memory import give_back
from .external_data import SMALL

Level: TypeAlias = Literal["all", "extended", "basic", "disable"]
LEVELS: tuple[Level, ...] = ("all", "extended", "basic", "disable")
"""ONNX Runtime's levels of graph optimisation; ``all`` is its default."""
Where: TypeAlias = str
"""What runs an artifact: ONNX Runtime's CPU at a level, or another engine, by its name."""

# Types that numpy has as well, so that ONNX Runtime takes them as arrays.
_ARRAYS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})


def is_level(where: Where) -> TypeGuard[Level]:
    """Whether ONNX Runtime's CPU is meant."""
    return where in LEVELS


def optimisation(level: Level) -> Any:
    """ONNX Runtime's own constant for a level."""
    import onnxruntime

    name = f"ORT_{'DISABLE_ALL' if level == 'disable' else f'ENABLE_{level.upper()}'}"
    return getattr(onnxruntime.GraphOptimizationLevel, name)


def options_of(level: Level) -> Any:
    """Options of a session that only checks something.

    Its threads sleep between runs. By default they spin for a while, and take the time of what
    comes next, such as PyTorch's run of the same model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = optimisation(level)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if level == "disable":  # it copies weights; kernels of packed 4-bit weights need it
        options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def session_of(model: ir.Model, folder: Path | None, level: Level = "disable") -> Any:
    """Return a session on the CPU, by default without optimisations: the graph runs unchanged.

    Args:
        model: The model.
        folder: The folder of its external data, if it has any.
        level: ONNX Runtime's level of graph optimisation.
    """
    import onnxruntime

    options = options_of(level)
    options.log_severity_level = 4
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
    with _weights_apart(model) as weights:
        data = ir.to_proto(model).SerializeToString()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    if values:
        options.add_external_initializers([*weights], values)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    if values:
        give_back()
    return session


@contextmanager
def _weights_apart(model: ir.Model) -> Generator[dict[str, np.ndarray[Any, Any]]]:
    """Take large weights out of a model, to be given as arrays: no bytes are made of them.

    Inside the context the model says that they lie elsewhere.
    """
    large = {
        value.name: (value, tensor)
        for value in model.graph.initializers.values()
        if value.name and (tensor := value.const_value) is not None and not value.is_graph_input()
        and tensor.dtype in _ARRAYS and tensor.nbytes >= SMALL
        and not isinstance(tensor, ir.ExternalTensor)
    }  # fmt: skip
    for value, tensor in large.values():
        assert isinstance(tensor.shape, ir.Shape)
        value.const_value = ir.ExternalTensor(
            "memory", 0, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=tensor.name or ""
        )
    try:
        yield {name: np.ascontiguousarray(tensor.numpy()) for name, (_, tensor) in large.items()}
    finally:
        for value, tensor in large.values():
            value.const_value = tensor
