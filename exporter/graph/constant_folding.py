"""`KnownArrays` evaluates what a graph computes from constants and shapes alone.

Old exporters test shapes at run time ("is this extent 1?") and branch on the result. Usually a
shape is known only in part: the batch is open, the channels are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .emitter import constant_of, dims_of
from .queries import subgraphs
from .result_size import result_size

Array: TypeAlias = npt.NDArray[Any]

# Operators that move elements without changing them: the mask of known elements moves with them.
_MOVING = frozenset(
    {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}
)
_DRAWING = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"}) | frozenset(
    {"Dropout", "RandomUniform", "RandomUniformLike"}
)
_MEASURING = frozenset({"Shape", "Size"})
_LARGEST = 1024  # elements; shape arithmetic is small, and weights need no evaluation
_LARGEST_RESULT = 1 << 20  # elements; a few bytes can describe an array that no memory holds


@dataclass(frozen=True)
class _Part:
    """An array with some known elements: those where ``known`` is 1."""

    values: Array
    known: Array

    @property
    def whole(self) -> bool:
        return bool(self.known.all())


class KnownArrays:
    """Finds the arrays that values of a graph always are, each node evaluated once.

    The graph may change in the meantime: what a value always is, it stays. New values are evaluated
    as they come.
    """

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._found: dict[ir.Value, _Part | None] = {}

    def of(self, value: ir.Value) -> Array | None:
        """Return the array that ``value`` is, or None if it depends on the inputs' contents."""
        pending = [value]
        while pending:
            missing = None if pending[-1] in self._found else self._evaluate(pending[-1])
            if missing is None:
                pending.pop()
            else:
                pending.append(missing)
        part = self._found[value]
        return part.values if part is not None and part.whole else None

    def _evaluate(self, value: ir.Value) -> ir.Value | None:
        """Evaluate ``value``, or return a value that must be evaluated before."""
        node, part = value.producer(), _constant(value)
        if part is None and node is not None and _may_be_known(node):
            reads = [] if node.op_type in _MEASURING else [*filter(None, node.inputs)]
            for one in reads:
                if one not in self._found:
                    return one
                if self._found[one] is None:
                    break
            else:
                part = _evaluated(node, self._found, self._opset)
        self._found[value] = part
        return None


def _constant(value: ir.Value) -> _Part | None:
    tensor = value.const_value
    if tensor is not None and tensor.size > _LARGEST:
        return None
    array = constant_of(value)
    if array is None or array.size > _LARGEST:
        return None
    return _Part(array, np.ones(array.shape, np.int64))


def _may_be_known(node: ir.Node) -> bool:
    plain = node.domain in ("", "ai.onnx") and len(node.outputs) == 1
    return plain and node.op_type not in _DRAWING and not subgraphs(node)


def _evaluated(node: ir.Node, found: Mapping[ir.Value, _Part | None], opset: int) -> _Part | None:
    source = node.inputs[0] if node.inputs else None
    if node.op_type in _MEASURING:
        return None if source is None or source.shape is None else _measured(node, source)
    parts = [None if value is None else found[value] for value in node.inputs]
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

    if result_size(node, arrays) > _LARGEST_RESULT:
        return None
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
