"""`level_outputs` groups a graph's outputs by the stride of the maps that they are moved from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ....graph.emitter import dims_of
from .strides import strides_of

_MOVES = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast"})


@dataclass(frozen=True)
class LevelOutput:
    """An output that holds one kind of number for the places of one level.

    Attributes:
        name: Of the output.
        map: [N, channels, h, w], before a Sigmoid and before it is moved.
        sigmoid: Whether the output is its sigmoid.
        stride: Pixels of the image between two places.
    """

    name: str
    map: ir.Value
    sigmoid: bool
    stride: int

    @property
    def channels(self) -> int:
        """Numbers of a place."""
        extent = dims_of(self.map)[1]
        assert isinstance(extent, int)
        return extent

    def is_called(self, *words: str) -> bool:
        """Whether the output's name has one of these words, as its exporter gave it."""
        return any(re.search(rf"(^|[^a-z]){word}", self.name.lower()) for word in words)


def level_outputs(graph: ir.Graph, image: ir.Value) -> list[list[LevelOutput]]:
    """The outputs of each level, the finest first, in the order of the graph's outputs.

    Returns:
        Levels with the same channels in the same order; none where outputs do not come so.
    """
    strides = strides_of(graph, image)
    levels: dict[int, list[LevelOutput]] = {}
    for output in graph.outputs:
        found, sigmoid = _before_moves(output)
        if found in strides and isinstance(dims_of(found)[1], int):
            one = LevelOutput(output.name or "", found, sigmoid, strides[found])
            levels.setdefault(one.stride, []).append(one)
    ordered = [levels[stride] for stride in sorted(levels)]
    kinds = {tuple((one.channels, one.sigmoid) for one in level) for level in ordered}
    return ordered if len(kinds) == 1 else []


def _before_moves(value: ir.Value) -> tuple[ir.Value, bool]:
    """What an output is merely moved from, and whether a sigmoid is on the way."""
    sigmoid = False
    while (node := value.producer()) is not None and node.inputs and node.inputs[0] is not None:
        if node.op_type == "Sigmoid" and not sigmoid:
            sigmoid = True
        elif node.op_type not in _MOVES:
            break
        value = node.inputs[0]
    return value, sigmoid


def names_of(outputs: Sequence[LevelOutput]) -> str:
    """Names and channels of outputs, for messages."""
    return ", ".join(f"{one.name} ({one.channels})" for one in outputs)
