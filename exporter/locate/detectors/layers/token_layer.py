"""This module tells which layers all queries look through: nothing of the image passes them by."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ....graph.queries import inputs_of

_BY_SHAPE = frozenset({"Shape", "Size"})  # they read how large a value is, not what it holds


def is_passed_by(value: ir.Value, ends: Sequence[ir.Value], image: ir.Value) -> bool:
    """Whether the image reaches an end without this value.

    A decoder, for example, reads its memory twice: with positions added, as keys, and without, as
    values. The memory is on every way, the sum is not, and its map would miss the values.

    Args:
        value: A layer's output.
        ends: Scores and boxes.
        image: The model's input.
    """
    seen, stack = {value}, [end for end in ends if end is not value]
    while stack:
        one = stack.pop()
        if one is image:
            return True
        node = None if one in seen else one.producer()
        seen.add(one)
        if node is not None and node.op_type not in _BY_SHAPE:
            stack.extend(inputs_of(node))
    return False
