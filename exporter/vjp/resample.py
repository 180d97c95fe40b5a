"""Resize: along each axis a linear map, whose matrix is known when the model is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import onnx_ir as ir

from ..adjoint import Adjoint, OneHot, Result
from ..emitter import Emitter, constant_of, dims_of
from .common import (
    Part,
    classes,
    float_attribute,
    int_attribute,
    ints_attribute,
    only_input,
    parts_of,
    string_attribute,
)
from .registry import Needed, vjp

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
_MODES = ("nearest", "linear", "cubic")


@dataclass(frozen=True)
class Resampling:
    """What a Resize does along one axis.

    Attributes:
        extent: Places of the input.
        count: Places of the output.
        scale: The scale that the node gives, or None where it gives sizes.
        mode: Interpolation.
        coordinates: ``coordinate_transformation_mode``.
        nearest: ``nearest_mode``.
        coefficient: ``cubic_coeff_a``.
        antialias: Whether the filter widens where the axis shrinks.
        inside: ``exclude_outside``.
    """

    extent: int
    count: int
    scale: float | None
    mode: str
    coordinates: str
    nearest: str
    coefficient: float
    antialias: int
    inside: int


@lru_cache(maxsize=32)
def resampling_matrix(axis: Resampling) -> np.ndarray:
    """The map as a matrix, float64 [count, extent].

    It is read off the ONNX reference implementation, applied to the identity.
    """
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    factors = (
        ("sizes", TensorProto.INT64, [axis.count])
        if axis.scale is None
        else ("scales", TensorProto.FLOAT, [axis.scale])
    )
    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"] if axis.scale is None else ["x", "", "scales"],
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
        [helper.make_tensor(factors[0], factors[1], [1], factors[2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (columns,) = ReferenceEvaluator(model).run(None, {"x": np.eye(axis.extent)})
    return np.ascontiguousarray(np.asarray(columns, np.float64).T)


def resamplings(node: ir.Node) -> dict[int, Resampling]:
    """What a Resize node does, by axis; axes that it leaves alone are left out.

    Raises:
        ValueError: Something about it has no rule, or is not known before run time.
    """
    mode = string_attribute(node, "mode", "nearest")
    coordinates = string_attribute(node, "coordinate_transformation_mode", "half_pixel")
    policy = string_attribute(node, "keep_aspect_ratio_policy", "stretch")
    for name, value, known in (
        ("mode", mode, _MODES),
        ("coordinate_transformation_mode", coordinates, _COORDINATES),
        ("keep_aspect_ratio_policy", policy, ("stretch",)),
    ):
        if value not in known:
            use = " or ".join(repr(one) for one in known)
            raise ValueError(f"{name}={value!r} has no gradient rule; use {use}")
    before, after = dims_of(only_input(node)), dims_of(node.outputs[0])
    scales, untouched = _scales(node, len(before)), _untouched(node, len(before))
    found: dict[int, Resampling] = {}
    for axis, (extent, count) in enumerate(zip(before, after, strict=True)):
        scale = None if scales is None else scales.get(axis, 1.0)
        # Sizes that change nothing change no value either; a scale may, even so.
        if axis in untouched or scale == 1.0:
            continue
        if scale is None and extent is not None and extent == count:
            continue
        if not isinstance(extent, int) or not isinstance(count, int):
            raise ValueError(f"the extent of axis {axis} is unknown; export it as static")
        if extent == count:
            raise ValueError(f"scale {scale:g} keeps axis {axis} as it is; runtimes differ there")
        found[axis] = Resampling(
            extent,
            count,
            scale,
            mode,
            coordinates,
            string_attribute(node, "nearest_mode", "round_prefer_floor"),
            float_attribute(node, "cubic_coeff_a", -0.75),
            int_attribute(node, "antialias", 0),
            int_attribute(node, "exclude_outside", 0),
        )
    return found


def _axes(node: ir.Node, rank: int) -> list[int]:
    return [axis % rank for axis in ints_attribute(node, "axes") or range(rank)]


def _scales(node: ir.Node, rank: int) -> dict[int, float] | None:
    """The scales that a Resize node gives, by axis, or None where it gives sizes."""
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return None
    array = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if array is None:
        raise ValueError("its scales are computed at run time; they must be constants")
    return dict(zip(_axes(node, rank), array.tolist(), strict=True))


def _untouched(node: ir.Node, rank: int) -> set[int]:
    """Axes that the node does not name, or whose size it reads off its own input."""
    axes = _axes(node, rank)
    found = set(range(rank)) - set(axes)
    joined = node.inputs[3].producer() if len(node.inputs) > 3 and node.inputs[3] else None
    if joined is None or joined.op_type != "Concat":
        return found
    place = 0
    for piece in joined.inputs:
        fixed = constant_of(piece)
        read = None if piece is None else _read_off(piece.producer(), node.inputs[0], rank)
        if fixed is not None:
            place += fixed.size
        elif read is not None:
            found.update(axis for axis, own in zip(axes[place:], read, strict=False) if axis == own)
            place += len(read)
        else:
            break
    return found


def _read_off(shape: ir.Node | None, x: ir.Value | None, rank: int) -> range | None:
    """Axes of ``x`` that a Shape node reads, or None if it is none of ``x``."""
    if shape is None or shape.op_type != "Shape" or shape.inputs[0] is not x:
        return None
    bounds = int_attribute(shape, "start", 0), int_attribute(shape, "end", rank)
    return range(*(bound + rank if bound < 0 else min(bound, rank) for bound in bounds))


def _covered(node: ir.Node) -> str | None:
    try:
        resamplings(node)
    except ValueError as error:
        return str(error)
    return None


def _resize_selection(
    emit: Emitter, node: ir.Node, seed: OneHot, needed: Needed
) -> Sequence[Result | OneHot] | None:
    """Class maps that are resized: only the selected class's is resized back."""
    if seed.value is None or 1 in resamplings(node):
        return None
    places = parts_of(node.outputs[0])
    return [OneHot(seed.index, _transposed(emit, node, seed.value, [places[0], 1, *places[2:]]))]


@vjp("Resize", since=11, inputs=(0,), check=_covered, selection=_resize_selection)
def resize(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The transposed interpolation: a product with a constant matrix along each resized axis."""
    return [_transposed(emit, node, grad.value, parts_of(node.outputs[0]))]


def _transposed(emit: Emitter, node: ir.Node, value: ir.Value, parts: Sequence[Part]) -> ir.Value:
    """A cotangent ``[K, *parts]`` resized back."""
    x, parts = only_input(node), list(parts)
    rank = len(dims_of(x))
    for axis, resampling in reversed(resamplings(node).items()):
        value = _turned(emit, value, rank, axis)
        # One Gemm over all that comes before: ONNX Runtime fuses a MatMul with the Transpose
        # before it to an operator that fails where K = 0 (seen in 1.31).
        rows = emit.op("Reshape", value, emit.ints([-1, resampling.count]), role="rows")
        matrix = emit.constant(resampling_matrix(resampling), x.dtype)
        product = emit.op("Gemm", rows, matrix, role="resampled")
        parts[axis] = resampling.extent
        shape = [parts[-1] if place == axis else part for place, part in enumerate(parts)]
        shape[-1] = resampling.extent
        shape = emit.vector([classes(emit), *shape])
        value = _turned(emit, emit.op("Reshape", product, shape, role="unfolded"), rank, axis)
    return value


def _turned(emit: Emitter, value: ir.Value, rank: int, axis: int) -> ir.Value:
    """``[K, ...]`` with one of the ``rank`` axes and the last one exchanged."""
    if axis == rank - 1:
        return value
    perm = list(range(rank + 1))
    perm[1 + axis], perm[-1] = perm[-1], perm[1 + axis]
    return emit.op("Transpose", value, role="turned", perm=perm)
