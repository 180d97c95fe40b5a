"""This rule differentiates rotary position embeddings."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import reshape_like


def _width(node: ir.Node) -> int | None:
    """Width of a head, if known."""
    dims = dims_of(only_input(node))
    heads = node.attributes.get_int("num_heads", 0) if len(dims) == 3 else 1
    last = dims[-1]
    return last // heads if isinstance(last, int) and heads else None


def _head_known(node: ir.Node) -> str | None:
    x = only_input(node)
    if _width(node) is None:
        return f"the width of the heads of {x.name!r} is unknown; fix it by --shape or at export"
    return None


def _angles(emit: Emitter, node: ir.Node, index: int, merged: bool, pair: int) -> ir.Value:
    """Cosines or sines by place, to broadcast against pairs of numbers of [K, N, ...]."""
    angles = only_input(node, index)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        angles = emit.op("Gather", angles, only_input(node, 3), role="angles", axis=0)
    angles = emit.op("Unsqueeze", angles, [2 if merged else 1], role="angles")
    return emit.op("Unsqueeze", angles, [pair], role="angles")


@vjp("RotaryEmbedding", since=23, inputs=(0,), check=_head_known)
def rotary_embedding(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The rotation the other way round: ``(c g0 + s g1, c g1 - s g0)`` for each pair."""
    x, width = only_input(node), _width(node)
    assert width is not None
    merged = len(dims_of(x)) == 3
    if merged:
        count = node.attributes.get_int("num_heads", 1)
        g = g.op("Reshape", [emit.classes, *parts_of(x, [0, 1]), count, width], role="heads")
    turned = node.attributes.get_int("rotary_embedding_dim", 0) or width
    interleaved = node.attributes.get_int("interleaved", 0)
    part = g.op("Slice", [0], [turned], [4], role="turned")
    outer = emit.op("Shape", part.value, role="outer", start=0, end=4)
    pairs = [turned // 2, 2] if interleaved else [2, turned // 2]
    part = part.op("Reshape", [outer, *pairs], role="pairs")
    axis = 5 if interleaved else 4
    cosine, sine = (_angles(emit, node, index, merged, axis - 1) for index in (1, 2))
    signs = emit.constant([[1.0, -1.0]] if interleaved else [[1.0], [-1.0]], x.dtype)
    other = part.op("Gather", [1, 0], role="other", axis=axis)
    across = other.op("Mul", emit.op("Mul", sine, signs, role="sines"), role="across")
    part = part.op("Mul", cosine, role="along").op("Add", across.value, role="back")
    part = part.op("Reshape", [outer, turned], role="joined")
    if turned < width:
        rest = g.op("Slice", [turned], [width], [4], role="rest")
        part = part.op("Concat", rest.value, axis=4)
    return [part.through(reshape_like, x)]
