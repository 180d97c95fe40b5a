"""`resampling_matrix` is the interpolation along one axis, as a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnx_ir as ir

from ...graph.ort_session import session_of

WHOLE = (0.0, 1.0)
_OPSET = 19  # the first whose Resize has all coordinate transformations


@dataclass(frozen=True)
class Resampling:
    """What a Resize does along one axis.

    Attributes:
        extent: Places of the input, or None if they are not known.
        count: Places of the output, or None if they are not known.
        scale: The scale that the node gives, or None where it gives sizes or computes it.
        settings: The node's attributes, by name.
        region: Where ``tf_crop_and_resize`` starts and ends, in parts of the input.
    """

    extent: int | None
    count: int | None
    scale: float | None
    settings: tuple[tuple[str, Any], ...]
    region: tuple[float, float] = WHOLE


@lru_cache(maxsize=32)
def resampling_matrix(axis: Resampling) -> np.ndarray:
    """The map as a matrix, float32 [count, extent].

    ONNX Runtime resizes the identity, since runtimes differ in where a sample lies: how they round
    the resized length and the coordinate decides which cells it reads. The axis lies beside one
    that always changes: ONNX Runtime copies a tensor whose extents all stay, whatever the scale.
    """
    extent, (start, end) = axis.extent, axis.region
    assert extent is not None
    asked: dict[str, np.ndarray[Any, Any]]
    if axis.scale is None:
        asked = {"sizes": np.array([extent, 1, axis.count, 2], np.int64)}
    else:
        asked = {"scales": np.array([1, 1, axis.scale, 2], np.float32)}
    asked["roi"] = np.array([0, 0, start, 0, 1, 1, end, 1], np.float32)
    x = ir.Value(
        name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([extent, 1, extent, 1])
    )
    given = {
        name: ir.Value(name=name, const_value=ir.tensor(array, name=name))
        for name, array in asked.items()
    }
    inputs = [x, given["roi"], given.get("scales"), given.get("sizes")]
    node = ir.node("Resize", inputs, dict(axis.settings))
    y = node.outputs[0]
    y.name, y.type = "y", x.type
    graph = ir.Graph(
        [x], [y], nodes=[node], initializers=[*given.values()], opset_imports={"": _OPSET},
        name="resize",
    )  # fmt: skip
    identity = np.eye(extent, dtype=np.float32)[:, None, :, None]
    (found,) = session_of(ir.Model(graph, ir_version=9), None).run(None, {"x": identity})
    return np.ascontiguousarray(found[:, 0, :, 0].T)
