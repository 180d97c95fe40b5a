"""A layer's tensors with its places in one row, and small expressions of them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ..differentiate.support.values import cells, classes, emit_part
from ..graph.emitter import Dim, Emitter, dims_of

BOOL = ir.DataType.BOOL


@dataclass(frozen=True)
class Flat:
    """What a method is made of, all float32.

    Attributes:
        whole: The activations as published, [N, C, *space].
        activations: [N, 1, C, P].
        gradients: [N, K, C, P].
    """

    whole: ir.Value
    activations: ir.Value
    gradients: ir.Value

    @staticmethod
    def of(emit: Emitter, activations: ir.Value, gradients: ir.Value) -> Flat:
        """Lay [N, C, *space] and [N, K, C, *space] out."""
        batch, depth, *space = dims_of(activations)
        channels = emit_part(activations, 1)
        places = cells(emit, activations, range(2, 2 + len(space)))
        one = emit.vector([0, 1, channels, places])
        each = emit.vector([0, classes(emit), channels, places])
        known = [batch, 1, depth, places if isinstance(places, int) else None]
        return Flat(
            activations,
            emit.op("Reshape", activations, one, role="channels", shape=known),
            emit.op("Reshape", gradients, each, role="channel_gradients"),
        )

    @property
    def channels(self) -> Dim:
        """C."""
        return dims_of(self.activations)[2]

    @property
    def places(self) -> int | None:
        """P, where the file fixes it."""
        count = dims_of(self.activations)[3]
        return count if isinstance(count, int) else None

    def asked(self, emit: Emitter) -> ir.Value:
        """The activations as [N, min(K, 1), C, P], for what knows no class.

        With K = 0 nothing is to be computed; an empty axis sees to that.
        """
        some = emit.op("Min", classes(emit), emit.ints([1]), role="some")
        shape = emit.vector([1, some, 1, 1])
        gate = emit.op("Expand", emit.scalar(1.0, self.activations), shape, role="gate")
        return emit.op("Mul", self.activations, gate, role="asked")

    def map(self, emit: Emitter, row: ir.Value) -> ir.Value:
        """[N, K, P] as [N, K, *space]."""
        space = [emit_part(self.whole, axis) for axis in range(2, len(dims_of(self.whole)))]
        return emit.op("Reshape", row, emit.vector([0, classes(emit), *space]), role="map")

    def for_all(self, emit: Emitter, row: ir.Value) -> ir.Value:
        """The ReLU of [N, min(K, 1), P] as the map of each class."""
        shape = emit.vector([1, classes(emit), 1])
        each = emit.op("Expand", emit.op("Relu", row), shape, role="for_all")
        return self.map(emit, each)


def weighted_sum(emit: Emitter, flat: Flat, weights: ir.Value, *, relu: bool = True) -> ir.Value:
    """The map of weights [N, K, C]: the activations' weighted sum over the channels."""
    rows = emit.op("Squeeze", flat.activations, emit.ints([1]), role="rows")
    summed = emit.op("MatMul", weights, rows, role="weighted")
    return flat.map(emit, emit.op("Relu", summed) if relu else summed)


def sum_of(emit: Emitter, flat: Flat, terms: ir.Value) -> ir.Value:
    """The map of terms [N, K, C, P]: the ReLU of their sum over the channels."""
    return flat.map(emit, emit.op("Relu", total(emit, terms, 2)))


def total(emit: Emitter, value: ir.Value, axis: int, *, keep: bool = False) -> ir.Value:
    """The sum along an axis."""
    return emit.op("ReduceSum", value, emit.ints([axis]), role="sum", keepdims=int(keep))


def mean(emit: Emitter, value: ir.Value, axis: int, *, keep: bool = False) -> ir.Value:
    """The mean along an axis."""
    return emit.op("ReduceMean", value, emit.ints([axis]), role="mean", keepdims=int(keep))


def quotient(emit: Emitter, dividend: ir.Value, divisor: ir.Value) -> ir.Value:
    """``dividend / divisor``, and 0 where the divisor is 0."""
    zero = emit.scalar(0.0, divisor)
    none = emit.op("Equal", divisor, zero, role="none", dtype=BOOL)
    safe = emit.op("Where", none, emit.scalar(1.0, divisor), divisor, dtype=divisor.dtype)
    return emit.op(
        "Where", none, zero, emit.op("Div", dividend, safe), role="quotient", dtype=divisor.dtype
    )
