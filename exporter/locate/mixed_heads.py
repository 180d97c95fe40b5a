"""`heads_last_behind` recognises the parts of "talking heads": linear maps over attention's heads.

CaiT writes them as a Linear with the heads on the last axis, EfficientFormerV2 as a convolution of
one pixel. Each query and each key stays by itself.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.attributes import ints_attribute
from ..graph.emitter import constant_of, dims_of

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def heads_last_behind(node: ir.Node, last: bool) -> bool | None:
    """Whether the heads are on the last axis behind a part of such a map; None: it is no part.

    Args:
        node: A node that reads [N, heads, queries, keys], or that with the heads last.
        last: Whether the heads are on the last axis before it.
    """
    if node.op_type == "Transpose":
        turned = ints_attribute(node, "perm") == (_TO_FIRST if last else _TO_LAST)
        return not last if turned else None
    if node.op_type == "Add" and last:
        return last if any(map(_is_constant, node.inputs)) else None
    if node.op_type == "MatMul" and last:
        return last if _is_constant(node.inputs[1], 2) else None
    if node.op_type == "Conv" and not last:
        return last if _is_of_one_pixel(node) else None
    return None


def heads_last_before(node: ir.Node, last: bool) -> bool | None:
    """The same backwards: whether they are before the node, if they are ``last`` behind it."""
    for before in (False, True):
        if heads_last_behind(node, before) is last:
            return before
    return None


def _is_constant(value: ir.Value | None, rank: int | None = None) -> bool:
    if value is None or constant_of(value) is None:
        return False
    return rank is None or len(dims_of(value)) == rank


def _is_of_one_pixel(node: ir.Node) -> bool:
    weight = node.inputs[1]
    assert weight is not None
    plain = not any(ints_attribute(node, "pads") or ()) and node.attributes.get_int("group", 1) == 1
    strides = ints_attribute(node, "strides") or []
    return _is_constant(weight, 4) and dims_of(weight)[2:] == [1, 1] and plain and {*strides} <= {1}
