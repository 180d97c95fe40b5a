"""A `Tensor` is a forward value with operators, so that rules read like ``y * (1 - y)``."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter
from ...graph.expression import Expression
from .values import above, number_if_classes


@dataclass(frozen=True)
class Tensor(Expression):
    """An `Expression` that knows what costs nothing for K = 0."""

    def number(self, number: float) -> Tensor:
        """A number beside a forward value, of which nothing is computed for K = 0.

        See `number_if_classes`.
        """
        return self.of(number_if_classes(self.emit, number, self.value))

    def above(self, bound: float = 0.0) -> ir.Value:
        """Where a forward value is above a number, as a mask [min(K, 1), *dims]; see `above`."""
        return above(self.emit, self.value, bound)


def both(emit: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    """Where two masks are true."""
    return emit.op("And", a, b, role="inside")


def input_of(emit: Emitter, node: ir.Node, index: int = 0) -> Tensor:
    """Input ``index`` of a node, which the operator requires."""
    return Tensor(emit, only_input(node, index))


def output_of(emit: Emitter, node: ir.Node) -> Tensor:
    """The first output of a node."""
    return Tensor(emit, node.outputs[0])
