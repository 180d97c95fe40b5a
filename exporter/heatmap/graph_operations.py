"""This module writes the formulas' operations as ONNX nodes."""

# ruff: noqa: D102 - `runtime.methods.operations` says what each operation is.

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...runtime.methods.operations import Kernel
from ..differentiate.support.values import identity
from ..graph.emitter import Emitter
from ..graph.expression import Expression
from .channel_rows import ChannelRows
from .principal_component import first_component, first_kernel_component


class GraphAlgebra:
    """`Algebra` on values of a graph."""

    def relu(self, x: Expression) -> Expression:
        return x.op("Relu")

    def root(self, x: Expression) -> Expression:
        return x.op("Sqrt")

    def above(self, x: Expression, bound: Expression | float) -> Expression:
        return x.indicator(x.exceeds(bound))

    def larger(self, x: Expression, y: Expression) -> Expression:
        return x.op("Max", y)

    def quotient(self, x: Expression, divisor: Expression) -> Expression:
        return x.over(divisor)

    def sum(self, x: Expression, axis: int, *, keep: bool = False) -> Expression:
        return x.sum([axis], keep=keep)

    def mean(self, x: Expression, axis: int, *, keep: bool = False) -> Expression:
        return x.mean([axis], keep=keep)

    def norm(self, x: Expression, axis: int, *, keep: bool = False) -> Expression:
        return x.norm([axis], keep=keep)

    def peak(self, x: Expression, axis: int, *, keep: bool = False) -> Expression:
        return x.op("ReduceMax", [axis], keepdims=int(keep))

    def product(self, x: Expression, y: Expression) -> Expression:
        return x @ y

    def insert(self, x: Expression, axis: int) -> Expression:
        return x.op("Unsqueeze", [axis])


@dataclass(frozen=True)
class GraphOperations(GraphAlgebra):
    """`Operations` on values of a graph.

    Attributes:
        emit: Where nodes are added.
        rows: The layer.
        constant: Whether the gradients are the same at all places.
    """

    emit: Emitter
    rows: ChannelRows
    constant: bool

    def inner(self, x: Expression, y: Expression) -> Expression:
        return x @ y.op("Transpose", perm=[0, 2, 1])

    def combine(self, weights: Expression, activations: Expression) -> Expression:
        return weights @ activations.op("Squeeze", [1])

    def at_places(self, weights: Expression) -> Expression:
        return weights.op("Unsqueeze", [3])

    def nearest(self, likeness: Expression, count: int) -> Expression:
        emit = self.emit
        itself = likeness.of(identity(emit, emit.classes, ir.DataType.FLOAT))
        likeness = likeness - itself * 3.0  # less than any other's
        others = emit.op("Max", emit.op("Sub", emit.classes, [1]), [1])
        most = emit.op("Min", emit.op("Min", others, [count]), emit.classes)
        kinds = [ir.DataType.FLOAT, ir.DataType.INT64]
        most_like = emit.ops("TopK", likeness.value, most, count=2, dtype=kinds, axis=2)[0]
        bound = emit.op("Slice", most_like, [-1], [2**31 - 1], [2])
        return likeness.indicator(likeness.compared("GreaterOrEqual", bound))

    def first_component(
        self, terms: Expression, *, centre: bool = True, kernel: Kernel | None = None
    ) -> Expression:
        if not centre or kernel not in (None, Kernel()):
            raise ValueError("a graph holds methods with their default options only")
        component = first_component if kernel is None else first_kernel_component
        return component(self.rows, terms)

    def is_constant(self, gradients: Expression) -> bool:
        return self.constant

    def classes(self, gradients: Expression) -> None:
        return None

    def places(self, activations: Expression) -> int | None:
        return self.rows.places
