"""Values of a graph that one can calculate with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

from ..graph.emitter import AttributeValue, Emitter

Operand: TypeAlias = "Expression | ir.Value | float"


@dataclass(frozen=True)
class Expression:
    """A float32 value of the graph, with the operators of arithmetic; shapes broadcast."""

    emit: Emitter
    value: ir.Value

    def __add__(self, other: Operand, /) -> Expression:
        return self.op("Add", other)

    def __sub__(self, other: Operand, /) -> Expression:
        return self.op("Sub", other)

    def __mul__(self, other: Operand, /) -> Expression:
        return self.op("Mul", other)

    def __matmul__(self, other: Operand, /) -> Expression:
        return self.op("MatMul", other)

    def __neg__(self) -> Expression:
        return self.op("Neg")

    def op(self, op_type: str, *others: Operand, **attributes: AttributeValue) -> Expression:
        """The float32 result of an operator; its first input is this value."""
        made = self.emit.op(
            op_type, self.value, *map(self._value, others),
            role="", dtype=self.value.dtype, shape=None, **attributes,
        )  # fmt: skip
        return Expression(self.emit, made)

    def sum(self, axis: int, *, keep: bool = False) -> Expression:
        """The sum along an axis, which stays with extent 1 if ``keep``."""
        return self.op("ReduceSum", self.emit.ints([axis]), keepdims=int(keep))

    def mean(self, axis: int, *, keep: bool = False) -> Expression:
        """The mean along an axis."""
        return self.op("ReduceMean", self.emit.ints([axis]), keepdims=int(keep))

    def norm(self, *axes: int, keep: bool = False) -> Expression:
        """The Euclidean norm along axes."""
        return self.op("ReduceL2", self.emit.ints(axes), keepdims=int(keep))

    def largest(self, *axes: int) -> Expression:
        """The largest number along axes, which stay."""
        return self.op("ReduceMax", self.emit.ints(axes), keepdims=1)

    def over(self, divisor: Expression) -> Expression:
        """The quotient, and 0 where the divisor is 0."""
        safe = divisor.choose("Equal", 0.0, 1.0, divisor)
        return divisor.choose("Equal", 0.0, 0.0, self.op("Div", safe))

    def choose(self, comparison: str, bound: Operand, this: Operand, other: Operand) -> Expression:
        """``this`` where the comparison of the value with ``bound`` holds, else ``other``."""
        holds = self._compared(comparison, bound)
        chosen = self.emit.op(
            "Where", holds, self._value(this), self._value(other), dtype=self.value.dtype
        )
        return Expression(self.emit, chosen)

    def indicator(self, comparison: str, bound: Operand) -> Expression:
        """1 where the comparison with ``bound`` holds, else 0."""
        holds = self._compared(comparison, bound)
        return Expression(self.emit, self.emit.cast(holds, ir.DataType.FLOAT))

    def _compared(self, comparison: str, bound: Operand) -> ir.Value:
        return self.emit.op(comparison, self.value, self._value(bound), dtype=ir.DataType.BOOL)

    def _value(self, operand: Operand) -> ir.Value:
        if isinstance(operand, Expression):
            return operand.value
        if isinstance(operand, ir.Value):
            return operand
        return self.emit.scalar(operand, self.value)
