"""`joint_levels` says which outputs hold the boxes and the classes of a level together.

Heads before their decoding (YOLO v3 to v8, YOLOX) give one output for each level. Nothing in such a
graph says what a place's numbers mean: anchors' sizes, sigmoids and strides are applied outside.
They look like segmentations of several scales, so one of these must be seen as well:

- a place has several rows, one for each of its anchors: [N, anchors, h, w, entries];
- boxes and classes come from convolutions of their own, and are joined;
- one plain 1 x 1 convolution gives three anchors' entries, at strides from 8 upwards.
"""

from __future__ import annotations

import onnx_ir as ir

from ....errors import CaptureError
from ....graph.emitter import constant_of, dims_of
from ..detection import image_input
from ..file_facts import FileFacts
from ..tables.entry_parts import entry_parts
from ..tables.level_outputs import LevelOutput, level_outputs

_BOX = 4
_BINS = range(5, 41)
_ANCHORS = 3
_LEAST = 6  # entries of an anchor: a box, an objectness and a class
_FINEST = 8

JOINT = (
    "boxes and classes of a place come as one output, and are decoded outside the graph; export "
    "the model with the decoding of its boxes inside"
)
"""Why such a detector cannot be read."""


def joint_levels(graph: ir.Graph, facts: FileFacts) -> str | None:
    """Return what was seen of outputs that hold boxes and classes of each level; None if not so."""
    try:
        levels = level_outputs(graph, image_input(graph))
    except CaptureError:
        return None
    if len(levels) < 2 or not all(len(level) == 1 for level in levels):
        return None
    outputs = [level[0] for level in levels]
    ranks = {value.name: len(dims_of(value)) for value in graph.outputs if value.shape is not None}
    if not (
        all(ranks.get(one.name) == 5 for one in outputs)
        or all(_is_joined(one) for one in outputs)
        or (outputs[0].channels != facts.labels and all(_has_anchors(one) for one in outputs))
    ):
        return None
    names, strides = ", ".join(o.name for o in outputs), ", ".join(str(o.stride) for o in outputs)
    return (
        f"{names} hold {outputs[0].channels} numbers for each place of the strides {strides}, as "
        "boxes with classes do"
    )


def _is_joined(output: LevelOutput) -> bool:
    """Whether the entries are four numbers, or their distributions, and then probabilities."""
    parts = entry_parts(output.map, 1)
    if len(parts) < 2 or parts[0].activation:
        return False
    bins, rest = divmod(parts[0].count, _BOX)
    return not rest and (bins == 1 or bins in _BINS)


def _has_anchors(output: LevelOutput) -> bool:
    """Whether a 1 x 1 convolution gives the entries of three anchors."""
    each, rest = divmod(output.channels, _ANCHORS)
    node = output.map.producer()
    if rest or each < _LEAST or output.stride < _FINEST or output.sigmoid:
        return False
    if node is None or node.op_type != "Conv" or node.inputs[1] is None:
        return False
    kernel = constant_of(node.inputs[1])
    return kernel is not None and kernel.shape[2:] == (1, 1)
