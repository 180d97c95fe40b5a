"""Fused rules differentiate several nodes at once, where one rule a node would cost more.

A fused rule takes the cotangent of one node's output to values further back. Its result is that of
the skipped nodes' rules together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import onnx_ir as ir

from ..graph.expression import Expression
from .cotangent import Cotangent
from .rules.reshape import parts_of_concat
from .rules.selfgated import Slope, self_gated

_MOST_JOINED = 500  # inputs of a Concat whose beginnings are looked for; DenseNets have 60
# From the cotangent of a node's output, its factor left out, to the cotangents of values.
FusedRule: TypeAlias = Callable[[Cotangent], Sequence[tuple[ir.Value, Cotangent]]]


def fused_rules(
    nodes: Sequence[ir.Node], targets: Collection[ir.Value]
) -> Mapping[ir.Node, FusedRule]:
    """The fused rules for active ``nodes``, by the node whose cotangent they take."""
    active = frozenset(nodes)
    found: dict[ir.Node, FusedRule] = {}
    joined: dict[tuple[object, ...], ir.Node] = {}
    for node in nodes:
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "Mul" and (made := self_gated(node, active, targets)):
            found[node] = partial(_through, *made)
        elif node.op_type == "Concat":
            longest = _longest_beginning(node, joined)
            # A target needs its own cotangent, not that of the longer Concat.
            if longest is not None and longest.outputs[0] not in targets:
                found[node] = partial(_by_beginning, node, longest)
            joined[_key(node, len(node.inputs))] = node
    return found


def _through(x: ir.Value, slope: Slope, g: Cotangent) -> Sequence[tuple[ir.Value, Cotangent]]:
    """``g`` times the slope of a self-gated activation of ``x``."""
    ends = Expression(g.emit, x), Expression(g.emit, g.forward)
    return [(x, g.expanded() * slope(*ends))]


def _key(node: ir.Node, count: int) -> tuple[object, ...]:
    axis = node.attributes["axis"].as_int()
    return axis, *(id(value) for value in node.inputs[:count])


def _longest_beginning(
    node: ir.Node, joined: Mapping[tuple[object, ...], ir.Node]
) -> ir.Node | None:
    """The Concat that joins the most of the first inputs of ``node``, but not all."""
    for count in range(min(len(node.inputs), _MOST_JOINED) - 1, 1, -1):
        if (known := joined.get(_key(node, count))) is not None:
            return known
    return None


def _by_beginning(
    node: ir.Node, beginning: ir.Node, g: Cotangent
) -> Sequence[tuple[ir.Value, Cotangent]]:
    """The cotangent of inputs that another Concat joins already goes to that one's output.

    Each layer of a DenseNet joins the outputs of all before it. One by one, the cotangents of n
    layers would be cut into n^2 / 2 pieces and added up; so they are cut in two, n times.
    """
    sources = [beginning.outputs[0], *node.inputs[len(beginning.inputs) :]]
    values = [value for value in sources if value is not None]
    return list(zip(values, parts_of_concat(node, g, values), strict=True))
