"""An `Expression` is a value of a graph with operators, so that code reads like the mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import onnx_ir as ir

from . import emitter
from .emitter import AttributeValue, Dim, Emitter, dims_of

Operand: TypeAlias = "Expression | emitter.Operand"


def bare(operand: Operand) -> emitter.Operand:
    """An operand of `Emitter.op`."""
    return operand.value if isinstance(operand, Expression) else operand


@dataclass(frozen=True)
class Expression:
    """A value of the graph; each operator makes a node (or finds the equal one), shapes broadcast.

    A number counts as a scalar of the same type. Negative axes count from the end.
    """

    emit: Emitter
    value: ir.Value

    def op(
        self,
        op_type: str,
        *others: Operand,
        role: str = "",
        shape: Sequence[Dim] | None = None,
        **attributes: AttributeValue,
    ) -> Self:
        """An ONNX operator with this value as its first input; see `Emitter.op`."""
        inputs = map(bare, others)
        made = self.emit.op(op_type, self.value, *inputs, role=role, shape=shape, **attributes)
        return replace(self, value=made)

    def __add__(self, other: Operand) -> Self:
        return self.op("Add", other)

    def __radd__(self, other: float) -> Self:
        return self.of(other) + self

    def __sub__(self, other: Operand) -> Self:
        return self.op("Sub", other)

    def __rsub__(self, other: float) -> Self:
        return self.of(other) - self

    def __mul__(self, other: Operand) -> Self:
        return self.op("Mul", other)

    def __truediv__(self, other: Operand) -> Self:
        return self.op("Div", other)

    def __pow__(self, other: Operand) -> Self:
        return self.op("Pow", other)

    def __matmul__(self, other: Operand) -> Self:
        return self.op("MatMul", other)

    def __neg__(self) -> Self:
        return self.op("Neg")

    def squared(self) -> Self:
        """``x * x``."""
        return self * self

    def sum(self, axes: Sequence[int], *, keep: bool = True) -> Self:
        """The sum along ``axes``, which stay with extent 1 if ``keep``."""
        return self.op("ReduceSum", axes, keepdims=int(keep))

    def mean(self, axes: Sequence[int], *, keep: bool = True) -> Self:
        """The mean along ``axes``, which stay with extent 1 if ``keep``."""
        return self.op("ReduceMean", axes, keepdims=int(keep))

    def norm(self, axes: Sequence[int], *, keep: bool = True) -> Self:
        """The Euclidean norm along ``axes``, which stay with extent 1 if ``keep``."""
        return self.op("ReduceL2", axes, keepdims=int(keep))

    def over(self, divisor: Self) -> Self:
        """The quotient, and 0 where the divisor is 0."""
        zero = divisor.equals(0.0)
        quotient = self.op("Div", self.of(1.0).where(zero, divisor, role=""))
        return self.of(0.0).where(zero, quotient, role="")

    def without_zeros(self) -> Self:
        """The same with 1 in place of 0, to divide by."""
        return self.of(1.0).where(self.equals(0.0), self)

    def where(self, mask: ir.Value, other: Operand = 0.0, *, role: str = "masked") -> Self:
        """This value where a mask is true, else another or a number."""
        return replace(self, value=self.emit.op("Where", mask, self.value, bare(other), role=role))

    def number(self, number: float) -> Self:
        """A number beside a forward value, as a tensor [min(K, 1), 1, ...].

        What depends on forward values alone would be computed for K = 0, too. With this for one of
        its constants it is empty then, and so is all that follows; for other K nothing changes.
        """
        emit, ones = self.emit, [1] * len(dims_of(self.value))
        shape = emit.vector([emit.op("Min", emit.classes, [1], role="some"), *ones])
        scalar = emit.scalar(number, self.value)
        return self.of(emit.op("Expand", scalar, shape, role="gate", shape=[None, *ones]))

    def above(self, bound: float = 0.0) -> ir.Value:
        """Where a forward value is above a number, as a mask [min(K, 1), *dims]."""
        return self._gated("Greater", bound, "above")

    def beneath(self, bound: float) -> ir.Value:
        """Where a forward value is below a number, as a mask [min(K, 1), *dims]."""
        return self._gated("Less", bound, "beneath")

    def _gated(self, op_type: str, bound: float, role: str) -> ir.Value:
        shape = [None, *dims_of(self.value)]
        return self.emit.op(op_type, self.value, self.number(bound).value, role=role, shape=shape)

    def indicator(self, mask: ir.Value) -> Self:
        """1 where a mask is true, else 0, in the type of this value."""
        return replace(self, value=self.emit.cast(mask, self.value.dtype))

    def choice(self, mask: ir.Value, inside: float, outside: float) -> Self:
        """One of two numbers, in the type of this value.

        Between two numbers ONNX Runtime's Where is fast; between tensors it takes ten times as
        long as a product.
        """
        shape = None if mask.shape is None else dims_of(mask)
        numbers = self.emit.scalar(inside, self.value), self.emit.scalar(outside, self.value)
        made = self.emit.op("Where", mask, *numbers, role="slope", shape=shape)
        return replace(self, value=made)

    def equals(self, other: Operand) -> ir.Value:
        """Where two values are equal, as a mask."""
        return self.compared("Equal", other)

    def exceeds(self, other: Operand) -> ir.Value:
        """Where this value is the larger one, as a mask."""
        return self.compared("Greater", other)

    def below(self, other: Operand) -> ir.Value:
        """Where this value is the smaller one, as a mask."""
        return self.compared("Less", other)

    def compared(self, op_type: str, other: Operand) -> ir.Value:
        """The mask that an operator of comparison makes."""
        return self.emit.op(op_type, self.value, bare(other))

    def of(self, other: ir.Value | float) -> Self:
        """Another value or a number, with operators."""
        value = other if isinstance(other, ir.Value) else self.emit.scalar(other, self.value)
        return replace(self, value=value)
