"""This module lays out queries, keys and values of attention by head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Dim, Emitter, Part, dims_of, parts_of
from .values import reshape_like, static_extent


@dataclass(frozen=True)
class Heads:
    """Queries, keys or values laid out as [N, key heads, group, length, width].

    The ``group`` of query heads that share a key head has an axis of its own; keys and values have
    extent 1 there.

    Attributes:
        value: [N, heads, length, width], or [N, length, heads * width].
        heads: Key heads.
        group: Query heads for each of them, or 1.
        width: Width of a head.
    """

    value: ir.Value
    heads: int
    group: int
    width: int

    @property
    def merged(self) -> bool:
        """Whether the heads are side by side on the last axis."""
        return len(dims_of(self.value)) == 3

    @property
    def length(self) -> Part:
        """Extent of the sequence."""
        return parts_of(self.value)[1 if self.merged else 2]

    def _parts(self) -> list[Part]:
        batch, apart, length = parts_of(self.value, [0]), [self.heads, self.group], [self.length]
        return [*batch, *(length + apart if self.merged else apart + length), self.width]

    def laid_out(self, emit: Emitter, value: ir.Value, lead: Sequence[ir.Value] = ()) -> ir.Value:
        """``value`` [*lead, *dims] in the common layout."""
        parts, count = self._parts(), len(lead)
        dims: list[Dim] = [part if isinstance(part, int) else None for part in parts]
        shape = [*[None] * count, *dims]
        value = emit.op("Reshape", value, [*lead, *parts], role="heads", shape=shape)
        return permuted(emit, value, count, (0, 2, 3, 1, 4)) if self.merged else value

    def back(self, emit: Emitter, value: ir.Value) -> ir.Value:
        """``[K, ...]`` in the common layout as ``[K, *dims]``."""
        value = permuted(emit, value, 1, (0, 3, 1, 2, 4)) if self.merged else value
        return reshape_like(emit, value, self.value, role="heads_back")


def permuted(emit: Emitter, value: ir.Value, lead: int, axes: Sequence[int]) -> ir.Value:
    """``value`` with the axes behind the first ``lead`` permuted."""
    perm = [*range(lead), *(lead + axis for axis in axes)]
    dims = None if value.shape is None else [dims_of(value)[axis] for axis in perm]
    return emit.op("Transpose", value, role="permuted", shape=dims, perm=perm)


def heads_of(node: ir.Node) -> tuple[Heads, Heads, Heads, Heads]:
    """Layouts of queries, keys, values and the output."""
    inputs = [only_input(node, index) for index in range(3)]
    counts, widths = list[int](), list[int]()
    for value, name in zip(inputs, ("q_num_heads", "kv_num_heads", "kv_num_heads"), strict=True):
        apart = len(dims_of(value)) == 4
        counts.append(static_extent(value, 1) if apart else node.attributes.get_int(name, 1))
        widths.append(static_extent(value, -1) // (1 if apart else counts[-1]))
    heads, group = counts[1], counts[0] // counts[1]
    q, k, v = inputs
    return (
        Heads(q, heads, group, widths[0]),
        Heads(k, heads, 1, widths[1]),
        Heads(v, heads, 1, widths[2]),
        Heads(node.outputs[0], heads, group, widths[2]),
    )
