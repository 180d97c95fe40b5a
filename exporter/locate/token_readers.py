"""`TokenReaders` tells whether all that reads a value takes only tokens beside the image's grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import TypeAlias

import onnx_ir as ir

from ..graph.attributes import constant_ints
from ..graph.emitter import Dim, constant_of, dims_of

# Operators that work on every token by itself.
BY_TOKEN = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Sigmoid", "Relu", "Gelu", "Cast"}
    | {"LayerNormalization", "Identity", "Dropout", "MatMul", "ReduceMean"}
)
_Place: TypeAlias = tuple[ir.Value, int]
"""A value, and the number of its tokens beside the grid."""
_Follow: TypeAlias = Callable[[ir.Node, ir.Value, int], "int | bool"]
"""What a reader does: takes such tokens only (True), or others (False); else their number then."""


class TokenReaders:
    """Answers for all values of a graph, each looked at once.

    Args:
        among: The values that count; None: all. A reader that gives none of them is left out.
    """

    def __init__(self, among: Set[ir.Value] | None = None) -> None:
        self._among = among
        self._prefix: dict[_Place, bool] = {}
        self._suffix: dict[_Place, bool] = {}

    def only_prefix(self, value: ir.Value, prefix: int) -> bool:
        """Whether all that follows ``value`` ends in a selection of tokens before the grid."""
        return _all_end((value, prefix), _prefix_after, self._prefix, self._among)

    def only_suffix(self, value: ir.Value, suffix: int) -> bool:
        """Whether all that reads a value takes the last ``suffix`` tokens of it, or fewer."""
        return _all_end((value, suffix), _suffix_after, self._suffix, self._among)


def _all_end(
    start: _Place, follow: _Follow, known: dict[_Place, bool], among: Set[ir.Value] | None
) -> bool:
    """Whether every way forwards from a place ends in a reader that takes such tokens only."""
    stack: list[tuple[_Place, Iterator[_Place | None]]] = []
    if start not in known:
        stack.append((start, _readers(start, follow, among)))
    while stack:
        place, readers = stack[-1]
        for after in readers:
            if after is None or known.get(after) is False:
                known.update((one, False) for one, _ in stack)
                return False
            if after not in known:
                stack.append((after, _readers(after, follow, among)))
                break
        else:
            known[place] = True
            stack.pop()
    return known[start]


def _readers(
    place: _Place, follow: _Follow, among: Set[ir.Value] | None
) -> Iterator[_Place | None]:
    """Yield the places after a place; None where a reader takes other tokens."""
    value, count = place
    for use in value.uses():
        if among is not None and among.isdisjoint(use.node.outputs):
            continue
        after = True if use.node.op_type == "Shape" else follow(use.node, value, count)
        if after is False:
            yield None
        elif after is not True:
            yield from ((output, after) for output in use.node.outputs)


def _suffix_after(node: ir.Node, value: ir.Value, suffix: int) -> int | bool:
    tokens = dims_of(value)[1] if value.shape is not None and len(value.shape) > 1 else None
    if _selects_suffix(node, tokens, suffix):
        return True
    return suffix if node.op_type in BY_TOKEN and _keeps_tokens(node) else False


def _selects_suffix(node: ir.Node, tokens: Dim, suffix: int) -> bool:
    """Whether a Slice along axis 1 takes nothing before the last ``suffix`` tokens."""
    if node.op_type != "Slice" or len(node.inputs) < 4 or not isinstance(tokens, int):
        return False
    starts, axes = constant_ints(node.inputs[1]), constant_ints(node.inputs[3])
    start = dict(zip(axes or [], starts or [], strict=False)).get(1, 0)
    return (start + tokens if start < 0 else start) >= tokens - suffix


def _prefix_after(node: ir.Node, value: ir.Value, prefix: int) -> int | bool:
    """Tokens before the grid in the result of a node; False where it mixes tokens.

    Class attention (CaiT, XCiT) cuts the class token off and puts it back before the others.
    """
    if _selects_prefix(node, prefix):
        return True
    if node.op_type == "Slice" and len(node.inputs) > 3:
        starts, axes = constant_ints(node.inputs[1]), constant_ints(node.inputs[3])
        start = starts[0] if starts and axes == [1] else -1
        return prefix - start if 0 <= start <= prefix else False
    if node.op_type == "Concat" and node.attributes["axis"].as_int() in (1, -2):
        before = [dims_of(one)[1] for one in node.inputs[: node.inputs.index(value)] if one]
        known = [extent for extent in before if isinstance(extent, int)]
        return prefix + sum(known) if len(known) == len(before) else False
    return prefix if node.op_type in BY_TOKEN and _keeps_tokens(node) else False


def _selects_prefix(node: ir.Node, prefix: int) -> bool:
    """Whether a Gather or Slice along axis 1 takes nothing behind the first ``prefix`` tokens."""
    if node.op_type == "Gather" and "axis" in node.attributes:
        places = constant_ints(node.inputs[1])
        along = node.attributes["axis"].as_int() == 1
        return along and places is not None and all(0 <= place < prefix for place in places)
    if node.op_type == "Slice" and len(node.inputs) > 3:
        ends, axes = constant_ints(node.inputs[2]), constant_ints(node.inputs[3])
        taken = dict(zip(axes or [], ends or [], strict=False))
        return 0 <= taken.get(1, -1) <= prefix
    return False


def _keeps_tokens(node: ir.Node) -> bool:
    """Whether a node of `BY_TOKEN` mixes no tokens: weights are constant, means over channels."""
    if node.op_type == "MatMul":
        return constant_of(node.inputs[1]) is not None
    if node.op_type == "ReduceMean":
        return len(node.inputs) > 1 and constant_ints(node.inputs[1]) in ([-1], [2])
    return True
