"""This module replaces the quantisers of a float64 head by lines that differences can follow.

The differences of a staircase are zero or infinite. So a quantiser becomes the code that ONNX
Runtime gives at the current point, plus the line that the staircase follows from there. The values
at the point are those of the quantised model, to the last code, and their differences those of the
straight-through surrogate that graftcam differentiates. A code at an end of its type stays, if
numbers beyond it can reach the quantiser.

Codes tie where numbers do not. A max pool takes its first maximum at the point, and stays with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...graph.emitter import Emitter, constant_of
from ...graph.ort_session import session_of
from ...graph.value_range import cutting_ends, keep_ends

Array = npt.NDArray[Any]
ValuesAt: TypeAlias = Callable[[Sequence[str]], Mapping[str, Array]]
"""Gives values of the model by name, as ONNX Runtime computes them at the current point."""

ROUNDING = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
"""Operators that round floats to codes."""
_HALF = 0.501  # of a step: what is rounded to an end, and not cut off
_INTEGER = ("QLinear", "QGemm", "QAttention", "QEmbed", "DynamicQuantize")
_PACKED = frozenset({"DequantizeLinear", "MatMulNBits", "GatherBlockQuantized"})


def is_quantised(graph: ir.Graph) -> bool:
    """Whether the graph computes with integers that stand for numbers.

    Where it does, ONNX Runtime's optimisations do not only reorder sums: they round elsewhere.
    """
    return any(
        node.op_type in ROUNDING | _PACKED
        or node.op_type.startswith(_INTEGER)
        or node.op_type.endswith(("Integer", "IntegerToFloat"))
        for node in graph
    )


def follow_lines(graph: ir.Graph, whole: ir.Graph, values_at: ValuesAt) -> None:
    """Rewrite a head so that it has floats only, in place.

    Args:
        graph: The head; the names of its values are the model's.
        whole: The model's graph, which shows what numbers can reach a quantiser.
        values_at: See `ValuesAt`.
    """
    nodes = [node for node in graph if node.op_type in _REWRITES]
    if not any(node.op_type in ROUNDING or node.op_type == "DequantizeLinear" for node in nodes):
        return
    keep_ends(whole, graph)
    points = [_Point(node, tuple(node.inputs)) for node in nodes]
    unknown = [v for one in points for v in one.read if constant_of(v) is None]
    found = values_at([value.name or "" for value in unknown])
    emit = Emitter(graph)
    for point in points:
        made = _REWRITES[point.node.op_type](emit, replace(point, values=found))
        for old, new in zip(point.node.outputs, made, strict=False):
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        graph.remove(point.node, safe=True)
    graph.sort()


def without_codes(
    model: ir.Model, target: str, score: str, feeds: Mapping[str, Array], values_at: ValuesAt
) -> ir.Model:
    """The part of a model from a layer to the score with lines for quantisers; itself without any.

    Args:
        model: The model.
        target: The layer's value.
        score: The score table.
        feeds: The model's inputs.
        values_at: See `ValuesAt`.
    """
    if not is_quantised(model.graph):
        return model
    extra = [v.name for v in model.graph.inputs if v.name and v.name in feeds and v.name != target]
    graph = ir.convenience.extract(model.graph, [target, *extra], [score])
    follow_lines(graph, model.graph, values_at)
    return ir.Model(graph, ir_version=model.ir_version)


@dataclass(frozen=True)
class _Point:
    """A node, and its values at the current point.

    Attributes:
        node: The node; its inputs may have been replaced.
        inputs: Its inputs as the model has them.
        values: Values of the model by name.
    """

    node: ir.Node
    inputs: tuple[ir.Value | None, ...]
    values: Mapping[str, Array] = field(default_factory=dict[str, Array])

    @property
    def read(self) -> list[ir.Value]:
        """The values that are needed: those of the inputs, and the codes that a quantiser gives."""
        codes = self.node.outputs if self.node.op_type in ROUNDING else ()
        return [value for value in (*self.inputs, *codes) if value is not None]

    def at(self, value: ir.Value) -> Array:
        known = constant_of(value)
        return self.values[value.name or ""] if known is None else known

    def input(self, index: int) -> Array | None:
        """An input's value, if there is such an input."""
        value = self.inputs[index] if index < len(self.inputs) else None
        return None if value is None else self.at(value)

    @property
    def outputs(self) -> list[Array]:
        return [self.at(value) for value in self.node.outputs]

    @property
    def start(self) -> Array:
        """The first input's value."""
        start = self.input(0)
        assert start is not None
        return start

    def beside(self, index: int) -> Array:
        """A scale or zero point, shaped to broadcast: per tensor, per channel or per block."""
        parameter, shape, attributes = self.input(index), self.start.shape, self.node.attributes
        if parameter is None:
            return np.zeros(())
        if parameter.size == 1:
            return parameter.reshape(())
        axis = attributes.get_int("axis", 1) % len(shape)
        if block := attributes.get_int("block_size", 0):
            return np.repeat(parameter, block, axis).take(range(shape[axis]), axis)
        return parameter.reshape([-1, *[1] * (len(shape) - 1 - axis)])


def _line(emit: Emitter, point: _Point, scale: Array, zero: Array, code: Array) -> ir.Value:
    """``code + (x - start) / scale``; ``code`` alone where it stands for numbers beyond its end."""
    numbers = point.start.astype(np.float64) / scale + zero
    limits, (low, high) = np.iinfo(code.dtype), (False, False)
    if point.node.op_type == "QuantizeLinear":  # a range chosen at run time holds all numbers
        low, high = cutting_ends(point.node)
    cut = (code == limits.min) & (low | (numbers < limits.min - _HALF))
    cut |= (code == limits.max) & (high | (numbers > limits.max + _HALF))
    moved = emit.op("Sub", point.node.inputs[0], _constant(emit, point.start))
    slope = np.where(cut, 0.0, 1 / scale.astype(np.float64))
    return emit.op("Add", emit.op("Mul", moved, _constant(emit, slope)), _constant(emit, code))


def _constant(emit: Emitter, array: Array) -> ir.Value:
    """In the model's precision: what does not depend on the layer is computed in it."""
    return emit.constant(array.astype(np.float32))


def _quantize(emit: Emitter, point: _Point) -> list[ir.Value]:
    return [_line(emit, point, point.beside(1), point.beside(2), point.outputs[0])]


def _quantize_dynamically(emit: Emitter, point: _Point) -> list[ir.Value]:
    """The range is the point's: where it goes, the line that the codes follow stays the same."""
    code, scale, zero = point.outputs
    line = _line(emit, point, scale, zero, code)
    return [line, _constant(emit, scale), _constant(emit, zero)]


def _dequantize(emit: Emitter, point: _Point) -> list[ir.Value]:
    """``scale (code - zero_point)``, of codes between the integers too."""
    code, scale, zero = point.node.inputs[0], point.beside(1), point.beside(2)
    if constant_of(code) is not None:  # weights
        wide = point.start.astype(np.float64) - zero.astype(np.float64)
        return [_constant(emit, wide * scale.astype(np.float64))]
    return [emit.op("Mul", emit.op("Sub", code, _constant(emit, zero)), _constant(emit, scale))]


def _pool(emit: Emitter, point: _Point) -> list[ir.Value]:
    """The elements that are the maxima at the point."""
    flat = emit.op("Reshape", point.node.inputs[0], emit.ints([-1]))
    return [emit.op("Gather", flat, emit.constant(_largest(point.node, point.start)))]


def _largest(node: ir.Node, start: Array) -> Array:
    """Where the maxima of a MaxPool lie in its flattened input; the first of those that tie."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(start.shape))
    attributes = [one for one in node.attributes.values() if one.name != "storage_order"]
    outputs = [
        ir.Value(name="y", type=x.type),
        ir.Value(name="places", type=ir.TensorType(ir.DataType.INT64)),
    ]
    pool = ir.Node("", "MaxPool", [x], attributes, outputs=outputs)
    graph = ir.Graph([x], outputs, nodes=[pool], opset_imports={"": 18}, name="pool")
    session = session_of(ir.Model(graph, ir_version=8), None)
    return session.run(["places"], {"x": start.astype(np.float32)})[0]


_REWRITES: dict[str, Callable[[Emitter, _Point], list[ir.Value]]] = {
    "QuantizeLinear": _quantize,
    "DynamicQuantizeLinear": _quantize_dynamically,
    "DequantizeLinear": _dequantize,
    "MaxPool": _pool,
}
