"""A `Cotangent` holds the gradients of the class scores with respect to one forward value.

A cotangent of a value with shape ``dims`` represents a tensor ``[K, *dims]``: the gradients of K
class scores. It is stored as a smaller tensor as long as possible. A scalar factor is not
multiplied in; an axis along which the cotangent is constant (that of a mean) is not expanded; and
the cotangent of the scores themselves, zero but at one class, is the number of that class. So a
head of pooling and a linear layer collapses to one row of the weight matrix, which is plain CAM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Concatenate, ParamSpec, TypeAlias

import numpy as np
import onnx_ir as ir

from ..graph.emitter import AttributeValue, Dim, Emitter, dims_of, parts_of
from ..graph.expression import Expression, Operand, bare
from .support.values import cells, places, where

_P = ParamSpec("_P")


@dataclass(frozen=True)
class Cotangent:
    """The cotangent ``factor * broadcast(value)``, or one that is zero but at selected classes.

    Attributes:
        emit: Where nodes are added.
        forward: The value whose cotangent it is, of shape ``dims``.
        tensor: [K, *dims], with extent 1 along the axes in ``spread``. For a one-hot cotangent the
            numbers at the selected classes: [K, N, 1, *positions], or None for ones, where
            ``forward`` is [N, classes].
        factor: Scalar still to be multiplied in.
        spread: Axes of ``forward`` (K not counted) that ``tensor`` is broadcast along.
        one_hot: int64 [K, N], places along axis 1 of ``forward``, outside of which all is zero;
            None where the cotangent is not one-hot.
        rows: int64 [R], the scores that the parts of ``tensor`` [R, *dims] belong to, those of one
            score to be added up; the other scores' are zero. None: all K in their order.
        unbounded: It may be infinite or NaN where a mask makes it zero: a derivative that has no
            bound, such as that of a square root, lies between here and the score.
    """

    emit: Emitter
    forward: ir.Value
    tensor: ir.Value | None
    factor: float = 1.0
    spread: frozenset[int] = frozenset()
    one_hot: ir.Value | None = None
    rows: ir.Value | None = None
    unbounded: bool = False

    @property
    def value(self) -> ir.Value:
        """The tensor; only a one-hot cotangent of ones has none."""
        assert self.tensor is not None
        return self.tensor

    def with_value(
        self, value: ir.Value | Expression, spread: Iterable[int] | None = None
    ) -> Cotangent:
        """A cotangent made from this one: another tensor, the same factor.

        Args:
            value: The tensor.
            spread: Axes that it is broadcast along; by default the same.
        """
        tensor = value.value if isinstance(value, Expression) else value
        axes = self.spread if spread is None else frozenset(spread)
        return replace(self, tensor=tensor, spread=axes)

    def through(
        self, function: Callable[Concatenate[Emitter, ir.Value, _P], ir.Value],
        *arguments: _P.args, **options: _P.kwargs,
    ) -> Cotangent:  # fmt: skip
        """A linear function of the tensor."""
        return self.with_value(function(self.emit, self.value, *arguments, **options))

    def op(
        self, op_type: str, *others: Operand, role: str = "", **attributes: AttributeValue
    ) -> Cotangent:
        """A linear operator with the tensor as its first input; see `Emitter.op`."""
        inputs = map(bare, others)
        made = self.emit.op(op_type, self.value, *inputs, role=role, shape=None, **attributes)
        return self.with_value(made)

    def scaled(self) -> Cotangent:
        """The same with the factor multiplied in."""
        if self.factor == 1.0:
            return self
        return replace(self.op("Mul", self.factor, role="scaled"), factor=1.0)

    def expanded(self, axes: Iterable[int] | None = None) -> Cotangent:
        """The same, not spread along ``axes`` (all by default)."""
        stretched = self.spread if axes is None else self.spread.intersection(axes)
        if not stretched:
            return self
        parts = enumerate(parts_of(self.forward))
        shape = [1, *(part if axis in stretched else 1 for axis, part in parts)]
        value = self.emit.op("Expand", self.value, shape, role="spread")
        return self.with_value(value, self.spread - stretched)

    def written_out(self) -> Cotangent:
        """The same as a tensor [K, *dims]: neither one-hot nor spread, with no factor left."""
        return self.with_zeros().expanded().scaled()

    def dense(self) -> ir.Value:
        """The whole cotangent as one tensor [K, *dims]."""
        return self.written_out().value

    def with_zeros(self) -> Cotangent:
        """The same, but not one-hot: a tensor [K, N, classes, *positions] with no factor left."""
        if self.one_hot is None:
            return self
        hits = self.hits(dims_of(self.forward)[1])
        if self.tensor is not None:
            value = self.emit.op("Where", hits, self.tensor, 0.0, role="seed")
        else:
            value = self.emit.cast(hits, self.forward.dtype, "seed")
        return replace(self, tensor=value, one_hot=None).scaled()

    def only_rows(self) -> Cotangent:
        """The same, of those scores only whose cotangent is not zero everywhere."""
        whole, emit = self.written_out(), self.emit
        axes = range(1, 1 + len(dims_of(self.forward)))
        sizes = emit.op("ReduceL1", whole.value, axes, role="sizes", keepdims=0)
        found = emit.ops("NonZero", sizes, count=1, role="rows", dtype=[ir.DataType.INT64])[0]
        places = emit.op("Squeeze", found, [0], role="rows")
        tensor = emit.op("Gather", whole.value, places, role="reached", axis=0)
        rows = places if self.rows is None else emit.op("Gather", self.rows, places, role="rows")
        return replace(whole, tensor=tensor, rows=rows)

    def all_rows(self) -> Cotangent:
        """The same with zeros for the scores that `rows` leaves out."""
        if self.rows is None:
            return self
        whole, emit = self.written_out(), self.emit
        # A product with a matrix of zeros and ones: it adds up the parts of a score that several
        # images of a batch reach by different ways.
        column = emit.op("Unsqueeze", places(emit, emit.classes), [1], role="scores")
        belongs = emit.cast(emit.op("Equal", column, self.rows), whole.value.dtype, "belongs")
        count = emit.op("Shape", self.rows, role="rows", shape=[1])
        flat = emit.op("Reshape", whole.value, [count, cells(emit, self.forward)], role="flat")
        every = emit.op("MatMul", belongs, flat, role="every")
        value = emit.op("Reshape", every, [emit.classes, *parts_of(self.forward)], role="every")
        return replace(whole, tensor=value, rows=None)

    def beside(self, other: Cotangent) -> Cotangent:
        """The sum of two cotangents of some scores, one after the other."""
        emit, a, b = self.emit, self.written_out(), other.written_out()
        assert a.rows is not None
        assert b.rows is not None
        value = emit.op("Concat", a.value, b.value, role="joined", axis=0)
        rows = emit.op("Concat", a.rows, b.rows, role="rows", axis=0)
        return replace(a, tensor=value, rows=rows, unbounded=a.unbounded or b.unbounded)

    def hits(self, count: Dim) -> ir.Value:
        """The places of a one-hot cotangent among ``count``, bool [K, N, count, *ones].

        A detector has as many entries as its image has places: where that is open, they are counted
        at run time.
        """
        emit, rank = self.emit, len(dims_of(self.forward))
        index = emit.op("Unsqueeze", self.one_hot, range(2, 1 + rank), role="selected")
        if isinstance(count, int):
            numbers = emit.constant(np.arange(count).reshape(-1, *[1] * (rank - 2)))
        else:
            numbers = places(emit, (self.forward, 1))
            if rank > 2:
                numbers = emit.op("Unsqueeze", numbers, range(1, rank - 1), role="places")
        return emit.op("Equal", index, numbers, role="hits")

    def selected_rows(self, weights: ir.Value, axis: int = 0) -> Cotangent:
        """A one-hot cotangent times a matrix: the selected rows, times the numbers there.

        Args:
            weights: The matrix, [classes, features, *ones].
            axis: 1 if it is stored as [features, classes].
        """
        emit = self.emit
        rows = emit.op("Gather", weights, self.one_hot, role="selected", axis=axis)
        if axis:
            rows = emit.op("Transpose", rows, role="selected", perm=[1, 2, 0])
        value = rows if self.tensor is None else emit.op("Mul", rows, self.tensor)
        return replace(self, tensor=value, one_hot=None)

    def __add__(self, other: Cotangent | Operand) -> Cotangent:
        # Not before they are unfolded: ONNX Runtime's blocked layout splits the channels of an
        # Add of two convolutions by a Reshape that fails for K = 0 (seen in 1.31).
        return self._with_summand("Add", other, "sum")

    def __sub__(self, other: Cotangent | Operand) -> Cotangent:
        return self._with_summand("Sub", other, "")

    def _with_summand(self, op_type: str, other: Cotangent | Operand, role: str) -> Cotangent:
        """A sum with a cotangent, lazy as far as both are, or with a tensor [K, *dims]."""
        if not isinstance(other, Cotangent):
            whole = self.written_out()
            return whole.op(op_type, other, role=role)
        a, b = self.with_zeros(), other.with_zeros()
        if a.factor != b.factor:
            a, b = a.scaled(), b.scaled()
        total = a.op(op_type, b.value, role=role)
        unbounded = a.unbounded or b.unbounded
        return replace(total, spread=a.spread & b.spread, unbounded=unbounded)

    def __neg__(self) -> Cotangent:
        return self * -1.0

    def __mul__(self, other: Expression | ir.Value | float) -> Cotangent:
        if isinstance(other, (int, float)):
            factor = self.factor * other
            # A quantiser's scale and its inverse cancel: nothing is left to multiply in.
            factor = 1.0 if math.isclose(factor, 1.0, rel_tol=1e-14) else factor
            return replace(self, factor=factor)
        return self._with_operand("Mul", other)

    def __truediv__(self, other: Expression | ir.Value | float) -> Cotangent:
        if isinstance(other, (int, float)):
            return replace(self, factor=self.factor / other)
        return self._with_operand("Div", other)

    def _with_operand(self, op_type: str, other: Expression | ir.Value) -> Cotangent:
        """A product with a tensor that broadcasts to the forward value, or a quotient by it."""
        left, spread = self._beside(other.value if isinstance(other, Expression) else other)
        return replace(left.op(op_type, other), spread=spread)

    def where(self, condition: ir.Value) -> Cotangent:
        """The cotangent where a condition of ``forward``'s shape holds, else zero.

        As a product with zeros and ones: ONNX Runtime's Where takes ten times as long. But zero
        times infinity is not zero.
        """
        kind = self.value.dtype or self.forward.dtype
        if self.unbounded or kind is None:
            left, spread = self._beside(condition)
            return left.with_value(where(self.emit, condition, left.value), spread)
        return self._with_operand("Mul", self.emit.cast(condition, kind, "mask"))

    def unless(self, condition: ir.Value) -> Cotangent:
        """Zero where a condition of ``forward``'s shape holds, else the cotangent."""
        shape = None if condition.shape is None else dims_of(condition)
        return self.where(self.emit.op("Not", condition, role="outside", shape=shape))

    def _beside(self, operand: ir.Value) -> tuple[Cotangent, frozenset[int]]:
        """The cotangent prepared for an operand, and the axes that stay spread beside it.

        They are those along which the operand has one place. Where it may have one or many, the
        cotangent is expanded first.
        """
        if not self.spread or operand.shape is None:
            return self.expanded(), frozenset()
        dims, out = dims_of(operand), dims_of(self.forward)
        lead = len(out) - len(dims)
        unsure = [
            axis
            for axis in self.spread
            if axis >= lead and not isinstance(extent := dims[axis - lead], int)
            and (extent is None or extent != out[axis])
        ]  # fmt: skip
        left = self.expanded(unsure)
        return left, frozenset(a for a in left.spread if a < lead or dims[a - lead] == 1)

    def sum(self, axes: Sequence[int]) -> Expression:
        """The sum along ``axes``, counted from the end, which stay with extent 1."""
        return Expression(self.emit, self.dense()).sum(axes)

    def mean(self, axes: Sequence[int]) -> Expression:
        """The mean along ``axes``, counted from the end, which stay with extent 1."""
        return Expression(self.emit, self.dense()).mean(axes)


# What a rule returns: the cotangent of each input; None where there is none.
Cotangents: TypeAlias = Sequence[Cotangent | None]
