"""`ChannelRows` are a layer's tensors with its places in one row."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ..differentiate.support.values import cells
from ..graph.emitter import Dim, Emitter, dims_of, parts_of


@dataclass(frozen=True)
class ChannelRows:
    """The operands of a formula, all float32.

    Attributes:
        whole: The activations as published, [N, C, *space].
        activations: [N, 1, C, P].
        gradients: [N, K, C, P].
    """

    whole: ir.Value
    activations: ir.Value
    gradients: ir.Value

    @staticmethod
    def of(emit: Emitter, activations: ir.Value, gradients: ir.Value) -> ChannelRows:
        """Lay [N, C, *space] and [N, K, C, *space] out."""
        batch, depth, *space = dims_of(activations)
        channels = parts_of(activations, [1])[0]
        places = cells(emit, activations, range(2, 2 + len(space)))
        one = emit.vector([0, 1, channels, places])
        each = emit.vector([0, emit.classes, channels, places])
        dims = [batch, 1, depth, places if isinstance(places, int) else None]
        return ChannelRows(
            activations,
            emit.op("Reshape", activations, one, role="channels", shape=dims),
            emit.op("Reshape", gradients, each, role="channel_gradients"),
        )

    @property
    def channels(self) -> Dim:
        """C."""
        return dims_of(self.activations)[2]

    @property
    def places(self) -> int | None:
        """P, where the file fixes it."""
        count = dims_of(self.activations)[3]
        return count if isinstance(count, int) else None

    def once(self, emit: Emitter) -> ir.Value:
        """The activations as [N, min(K, 1), C, P], for formulas that know no class.

        With K = 0 nothing is computed, since an axis is empty.
        """
        some = emit.op("Min", emit.classes, [1], role="some")
        shape = emit.vector([1, some, 1, 1])
        gate = emit.op("Expand", emit.scalar(1.0, self.activations), shape, role="gate")
        return emit.op("Mul", self.activations, gate, role="asked")

    def for_each_class(self, emit: Emitter, row: ir.Value) -> ir.Value:
        """A map [N, min(K, 1), P] once for each class, [N, K, P]."""
        return emit.op("Expand", row, [1, emit.classes, 1], role="for_each_class")

    def map(self, emit: Emitter, row: ir.Value) -> ir.Value:
        """[N, K, P] as [N, K, *space]."""
        return emit.op("Reshape", row, [0, emit.classes, *parts_of(self.whole)[2:]], role="map")
