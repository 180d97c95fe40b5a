"""A `Direction` of a recurrent node has its operands, and the scans through time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, Step, Values, parts_of
from ..cotangent import Cotangent
from .values import static_extent, where

# Inputs of all three operators; LSTM has more.
X, W, R, B, LENGTHS, INITIAL_H = range(6)

Grads: TypeAlias = Sequence[Cotangent | None]  # written out
# How to make the cotangents of one direction, by input: X's is [T, K, N, I], the others' are
# [K, ...] without an axis of directions.
ByInput: TypeAlias = dict[int, Callable[[], ir.Value]]


@dataclass(frozen=True)
class Direction:
    """One direction of a recurrent node: its operands, and the scans through time.

    Attributes:
        emit: Where nodes are added.
        node: The node.
        index: The direction's place among the node's.
        backwards: It runs from the last step to the first.
        names: Its activations, f, g and (for an LSTM) h.
        grads: Cotangents of the node's outputs.
    """

    emit: Emitter
    node: ir.Node
    index: int
    backwards: bool
    names: Sequence[str]
    grads: Grads

    @property
    def x(self) -> ir.Value:
        """The input [T, N, I]."""
        return only_input(self.node)

    @property
    def hidden(self) -> int:
        """The number H of hidden units."""
        return static_extent(only_input(self.node, R), -1)

    def _own(self, value: ir.Value, axis: int) -> ir.Value:
        """This direction's part of a value."""
        if self.node.attributes.get_string("direction", "forward") == "bidirectional":
            index = self.emit.constant(np.int64(self.index))
            return self.emit.op("Gather", value, index, role="own", axis=axis)
        return self.emit.op("Squeeze", value, [axis], role="own")

    def given(self, index: int) -> ir.Value | None:
        """This direction's part of an input, None where the input is omitted."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return None if value is None else self._own(value, 0)

    def weights(self, index: int) -> ir.Value:
        """This direction's part of W or R, [gates * H, I or H]."""
        return self._own(only_input(self.node, index), 0)

    def biases(self, *sizes: int) -> Sequence[ir.Value | None]:
        """Parts of the biases, by the number of gates that each serves; None where omitted."""
        given = self.given(B)
        return [None] * len(sizes) if given is None else self.parts(given, *sizes)

    def parts(self, value: ir.Value, *gates: int, axis: int = -1) -> Values:
        """Parts of an axis, by the number of gates that each serves."""
        sizes = [size * self.hidden for size in gates]
        return self.emit.ops("Split", value, sizes, count=len(gates), role="part", axis=axis)

    def joined(self, *parts: ir.Value, axis: int = -1) -> ir.Value:
        """`parts` undone."""
        return self.emit.op("Concat", *parts, role="joined", axis=axis)

    def start(self, index: int) -> ir.Value:
        """An initial state [N, H], input ``index``; zeros where omitted."""
        given = self.given(index)
        return self._zeros() if given is None else given

    def end(self, index: int) -> ir.Value:
        """Cotangent of a last state, output ``index``, [K, N, H]; zeros where it has none."""
        grad = self.grads[index] if index < len(self.grads) else None
        return self._zeros(self.emit.classes) if grad is None else self._own(grad.value, 1)

    def _zeros(self, *lead: ir.Value) -> ir.Value:
        shape = self.emit.vector([*lead, *parts_of(self.x, [1]), self.hidden])
        return self.emit.op("Expand", self.emit.scalar(0.0, self.x), shape, role="zeros")

    def states(self) -> ir.Value:
        """The hidden states that the layer went through, [T, N, H]."""
        y = self.node.outputs[0]
        if not y.name:  # the node returns its last state only
            attributes = {name: given.value for name, given in self.node.attributes.items()}
            y = self.emit.op(self.node.op_type, *self.node.inputs, role="states", **attributes)
        return self._own(y, 1)

    def before(self, states: ir.Value, start: ir.Value) -> ir.Value:
        """For each step [T, N, H] the state that it came from."""
        if self.inside is not None:  # a sequence that is walked backwards starts at its end
            states = where(self.emit, self.inside, states, start)
        first = self.emit.op("Unsqueeze", start, [0], role="start")
        path = [states, first] if self.backwards else [first, states]
        start_at, end_at = (1, 2**31 - 1) if self.backwards else (0, -1)
        joined = self.joined(*path, axis=0)
        return self.emit.op("Slice", joined, [start_at], [end_at], [0], role="before")

    @cached_property
    def inside(self) -> ir.Value | None:
        """Mask [T, N, 1] of the steps that belong to their sequence, None if all do."""
        lengths = self.node.inputs[LENGTHS] if len(self.node.inputs) > LENGTHS else None
        if lengths is None:
            return None
        emit, count = self.emit, self.emit.op("Squeeze", parts_of(self.x, [0]), role="count")
        steps = emit.op("Range", 0, count, 1, role="steps")
        steps = emit.op("Unsqueeze", steps, [1, 2], role="steps")
        wide = emit.cast(lengths, ir.DataType.INT64, "lengths")
        wide = emit.op("Unsqueeze", wide, [1], role="lengths")
        return emit.op("Less", steps, wide, role="inside")

    def forth(self, states: Values, slices: Values, step: Step, role: str) -> tuple[Values, Values]:
        """`Emitter.scan` in this direction."""
        return self._scan(states, slices, step, role, self.backwards)

    def back(self, states: Values, slices: Values, step: Step) -> tuple[Values, Values]:
        """`Emitter.scan` against this direction, for cotangents of the states.

        The first one is the hidden state's, which Y's cotangent joins before each step.
        """
        grad = self.grads[0]
        if grad is None:
            return self._scan(states, slices, step, "back", not self.backwards)
        own = self._own(grad.value, 2)
        incoming = self.emit.op("Transpose", own, role="incoming", perm=[1, 0, 2, 3])

        def joining(states: Values, given: Values) -> tuple[Values, Values]:
            total = self.emit.op("Add", states[0], given[-1], role="total")
            return step([total, *states[1:]], given[:-1])

        return self._scan(states, [*slices, incoming], joining, "back", not self.backwards)

    def _scan(
        self, states: Values, slices: Values, step: Step, role: str, backwards: bool
    ) -> tuple[Values, Values]:
        """A scan in which states stay, and results are zero, beyond the end of a sequence."""
        if self.inside is None:
            return self.emit.scan(states, slices, step, backwards=backwards, role=role)

        def masked(states: Values, given: Values) -> tuple[Values, Values]:
            after, results = step(states, given[:-1])
            pairs = zip(after, states, strict=True)
            kept = [where(self.emit, given[-1], new, old) for new, old in pairs]
            return kept, [where(self.emit, given[-1], result) for result in results]

        slices = [*slices, self.inside]
        return self.emit.scan(states, slices, masked, backwards=backwards, role=role)

    def times(self, value: ir.Value, weights: ir.Value, bias: ir.Value | None) -> ir.Value:
        """``value @ weights^T + bias``."""
        turned = self.emit.op("Transpose", weights, role="turned", perm=[1, 0])
        product = self.emit.op("MatMul", value, turned, role="product")
        return product if bias is None else self.emit.op("Add", product, bias, role="biased")

    def over_steps(self, grad: ir.Value, rows: ir.Value, gates: int) -> ir.Value:
        """``grad^T rows`` summed over steps and images, [K, gates * H, I].

        Args:
            grad: [T, K, N, gates * H].
            rows: [T, N, I].
            gates: How many gates ``grad`` belongs to.
        """
        emit = self.emit
        count = emit.op("ReduceProd", parts_of(self.x, [0, 1]), [0], role="count", keepdims=1)
        left = emit.op("Transpose", grad, role="columns", perm=[1, 3, 0, 2])
        left = emit.op("Reshape", left, [emit.classes, gates * self.hidden, count], role="columns")
        right = emit.op("Reshape", rows, [count, -1], role="rows")
        return emit.op("MatMul", left, right, role="over_steps")

    def total(self, grad: ir.Value) -> ir.Value:
        """Sum of [T, K, N, M] over steps and images, [K, M]."""
        return self.emit.op("ReduceSum", grad, [0, 2], role="total", keepdims=0)

    def inputs(self, grad: ir.Value, gates: int) -> ByInput:
        """Cotangents of X, W and both halves of B, from that of ``X W^T`` plus the biases."""
        return {
            X: lambda: self.emit.op("MatMul", grad, self.weights(W), role="inputs"),
            W: lambda: self.over_steps(grad, self.x, gates),
            B: lambda: self.joined(self.total(grad), self.total(grad)),
        }
