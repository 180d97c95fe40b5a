"""Tensors with operators, so that rules read like the mathematics: ``y * (1 - y)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Dim, Emitter
from .values import above, number_if_classes, where


@dataclass(frozen=True)
class Tensor:
    """A value of the graph; each operator makes a node (or finds the equal one).

    A number counts as a scalar of the same type.
    """

    emit: Emitter
    value: ir.Value

    def op(
        self,
        op_type: str,
        *others: ir.Value,
        shape: Sequence[Dim] | None = None,
        **attributes: int,
    ) -> Tensor:
        """An ONNX operator with this tensor as its first input; see `Emitter.op`."""
        made = self.emit.op(
            op_type, self.value, *others, role="", dtype=None, shape=shape, **attributes
        )
        return Tensor(self.emit, made)

    def __add__(self, other: Operand) -> Tensor:
        return self.op("Add", self.operand(other))

    def __radd__(self, other: Operand) -> Tensor:
        return Tensor(self.emit, self.operand(other)) + self

    def __sub__(self, other: Operand) -> Tensor:
        return self.op("Sub", self.operand(other))

    def __rsub__(self, other: Operand) -> Tensor:
        return Tensor(self.emit, self.operand(other)) - self

    def __mul__(self, other: Operand) -> Tensor:
        return self.op("Mul", self.operand(other))

    def __truediv__(self, other: Operand) -> Tensor:
        return self.op("Div", self.operand(other))

    def __pow__(self, other: Operand) -> Tensor:
        return self.op("Pow", self.operand(other))

    def __neg__(self) -> Tensor:
        return self.op("Neg")

    def number(self, number: float) -> Tensor:
        """A number beside a forward value, of which nothing is computed for K = 0.

        See `number_if_classes`.
        """
        return Tensor(self.emit, number_if_classes(self.emit, number, self.value))

    def squared(self) -> Tensor:
        """``x * x``."""
        return self * self

    def sum(self, axes: Sequence[int]) -> Tensor:
        """The sum along ``axes``, which stay with extent 1; negative ones count from the end."""
        return self.op("ReduceSum", self.emit.ints(axes), keepdims=1)

    def mean(self, axes: Sequence[int]) -> Tensor:
        """The mean along ``axes``, which stay with extent 1; negative ones count from the end."""
        return self.op("ReduceMean", self.emit.ints(axes), keepdims=1)

    def without_zeros(self) -> Tensor:
        """The same with 1 in place of 0, to divide by."""
        one = Tensor(self.emit, self.emit.scalar(1.0, self.value))
        return one.where(self.equals(0.0), self)

    def where(self, condition: ir.Value, other: Operand = 0.0) -> Tensor:
        """This tensor where a condition holds, else another or a number."""
        return Tensor(self.emit, where(self.emit, condition, self.value, self.operand(other)))

    def equals(self, other: Operand) -> ir.Value:
        """Where two tensors are equal, as a mask."""
        return self._compared("Equal", other)

    def exceeds(self, other: Operand) -> ir.Value:
        """Where this tensor is the larger one, as a mask."""
        return self._compared("Greater", other)

    def below(self, other: Operand) -> ir.Value:
        """Where this tensor is the smaller one, as a mask."""
        return self._compared("Less", other)

    def above(self, bound: float = 0.0) -> ir.Value:
        """Where a forward value is above a number, as a mask [min(K, 1), *dims]; see `above`."""
        return above(self.emit, self.value, bound)

    def _compared(self, op_type: str, other: Operand) -> ir.Value:
        return self.emit.op(op_type, self.value, self.operand(other), dtype=ir.DataType.BOOL)

    def operand(self, other: Operand) -> ir.Value:
        """What stands beside this tensor in an operator."""
        if isinstance(other, Tensor):
            return other.value
        return other if isinstance(other, ir.Value) else self.emit.scalar(other, self.value)


Operand: TypeAlias = "Tensor | ir.Value | float"


def both(emit: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    """Where two masks hold."""
    return emit.op("And", a, b, role="inside")


def input_of(emit: Emitter, node: ir.Node, index: int = 0) -> Tensor:
    """Input ``index`` of a node, which the operator requires."""
    return Tensor(emit, only_input(node, index))


def output_of(emit: Emitter, node: ir.Node) -> Tensor:
    """The first output of a node."""
    return Tensor(emit, node.outputs[0])
