"""`resampling_matrix` is the interpolation along one axis, as a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

WHOLE = (0.0, 1.0)


@dataclass(frozen=True)
class Resampling:
    """What a Resize does along one axis.

    Attributes:
        extent: Places of the input, or None if they are not known.
        count: Places of the output, or None if they are not known.
        scale: The scale that the node gives, or None where it gives sizes or computes it.
        mode: Interpolation.
        coordinates: ``coordinate_transformation_mode``.
        nearest: ``nearest_mode``.
        coefficient: ``cubic_coeff_a``.
        antialias: Whether the filter widens where the axis shrinks.
        inside: ``exclude_outside``.
        region: Where ``tf_crop_and_resize`` starts and ends, in parts of the input.
    """

    extent: int | None
    count: int | None
    scale: float | None
    mode: str
    coordinates: str
    nearest: str
    coefficient: float
    antialias: int
    inside: int
    region: tuple[float, float] = WHOLE


@lru_cache(maxsize=32)
def resampling_matrix(axis: Resampling) -> np.ndarray:
    """The map as a matrix, float64 [count, extent].

    It is read off the ONNX reference implementation, applied to the identity.
    """
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    assert axis.extent is not None
    assert axis.count is not None
    factors = (
        ("sizes", TensorProto.INT64, [axis.count])
        if axis.scale is None
        else ("scales", TensorProto.FLOAT, [axis.scale])
    )
    node = helper.make_node(
        "Resize",
        ["x", "roi", "", "sizes"] if axis.scale is None else ["x", "roi", "scales"],
        ["y"],
        axes=[1],
        mode=axis.mode,
        coordinate_transformation_mode=axis.coordinates,
        nearest_mode=axis.nearest,
        cubic_coeff_a=axis.coefficient,
        antialias=axis.antialias,
        exclude_outside=axis.inside,
    )
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [axis.extent, axis.extent])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
        [
            helper.make_tensor(factors[0], factors[1], [1], factors[2]),
            helper.make_tensor("roi", TensorProto.FLOAT, [2], axis.region),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (columns,) = ReferenceEvaluator(model).run(None, {"x": np.eye(axis.extent)})
    return np.ascontiguousarray(np.asarray(columns, np.float64).T)
