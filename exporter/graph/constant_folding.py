"""`known_array` evaluates what a graph computes from constants and shapes alone.

Old exporters test shapes at run time ("is this extent 1?") and branch on the result. Usually a
shape is known only in part: the batch is open, the channels are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .emitter import constant_of, dims_of
from .queries import ancestors, subgraphs

Array: TypeAlias = npt.NDArray[Any]

# Operators that move elements without changing them: the mask of known elements moves with them.
_MOVING = frozenset(
    {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}
)
_DRAWING = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"}) | frozenset(
    {"Dropout", "RandomUniform", "RandomUniformLike"}
)
_LARGEST = 1024  # elements; shape arithmetic is small, and weights need no evaluation


@dataclass(frozen=True)
class _Part:
    """An array with some known elements: those where ``known`` is 1."""

    values: Array
    known: Array

    @property
    def whole(self) -> bool:
        return bool(self.known.all())


def known_array(graph: ir.Graph, value: ir.Value, opset: int) -> Array | None:
    """Return the array that ``value`` always is, or None if it depends on the inputs' contents."""
    needed = ancestors(value)
    found: dict[ir.Value, _Part] = {}
    for node in graph:
        if len(node.outputs) == 1 and node.outputs[0] in needed:
            part = _evaluated(node, found, opset)
            if part is not None:
                found[node.outputs[0]] = part
    part = _part_of(value, found)
    return part.values if part is not None and part.whole else None


def _part_of(value: ir.Value, found: dict[ir.Value, _Part]) -> _Part | None:
    array = constant_of(value)
    if array is not None and array.size <= _LARGEST:
        return _Part(array, np.ones(array.shape, np.int64))
    return found.get(value)


def _evaluated(node: ir.Node, found: dict[ir.Value, _Part], opset: int) -> _Part | None:
    if node.domain not in ("", "ai.onnx") or node.op_type in _DRAWING or subgraphs(node):
        return None
    source = node.inputs[0] if node.inputs else None
    if node.op_type in ("Shape", "Size"):
        return None if source is None or source.shape is None else _measured(node, source)
    parts: list[_Part | None] = []
    for value in node.inputs:
        part = None if value is None else _part_of(value, found)
        if value is not None and part is None:
            return None
        parts.append(part)
    values = [part and part.values for part in parts]
    if all(part is None or part.whole for part in parts):
        array = _run(node, values, opset)
        return None if array is None else _Part(array, np.ones(array.shape, np.int64))
    if node.op_type not in _MOVING:
        return None
    moved = parts if node.op_type == "Concat" else parts[:1]
    if not all(part is None or part.whole for part in parts[len(moved) :]):
        return None
    array = _run(node, values, opset)
    known = _run(node, [*(p and p.known for p in moved), *values[len(moved) :]], opset)
    return None if array is None or known is None else _Part(array, known)


def _measured(node: ir.Node, source: ir.Value) -> _Part | None:
    """Evaluate a Shape or Size node; extents that are not static are unknown."""
    dims = dims_of(source)
    if node.op_type == "Shape":
        dims = dims[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(dims))]
    values = np.array([dim if isinstance(dim, int) else 0 for dim in dims], np.int64)
    known = np.array([isinstance(dim, int) for dim in dims], np.int64)
    if node.op_type == "Size":
        return _Part(values.prod(), known.prod())
    return _Part(values, known)


def _run(node: ir.Node, arrays: Sequence[Array | None], opset: int) -> Array | None:
    """Run one node in the ONNX reference evaluator; None if it does not support the operator."""
    from onnx.reference import ReferenceEvaluator

    feeds = {
        value.name or "": array
        for value, array in zip(node.inputs, arrays, strict=True)
        if value is not None and array is not None
    }
    try:
        found = ReferenceEvaluator(ir.to_proto(node), opsets={"": opset}).run(None, feeds)
    except Exception:  # the reference evaluator raises any of numpy's errors
        return None
    assert isinstance(found, list)
    return np.asarray(found[0])
