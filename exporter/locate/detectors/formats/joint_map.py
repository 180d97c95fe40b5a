"""`joint_map` looks at a single output map that may hold boxes and classes of its places together.

YOLO v2 and detectors of one level give [N, anchors * (5 + classes), h, w] before its decoding: for
each anchor a box, an objectness and the classes. A segmentation gives [N, classes, h, w]. Channels
of the one kind can be channels of the other, too, so that the numbers alone are a doubt, which is
told. What shows boxes is one of these as well:

- the number of class names is the number that is left for each anchor, not the number of channels;
- the file's metadata hold as many pairs of anchors' sides;
- the names of the output, or of what makes it, are of boxes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import onnx_ir as ir

from ....errors import CaptureError
from ....graph.emitter import constant_of, dims_of
from ..detection import image_input
from ..file_facts import FileFacts
from ..tables.level_outputs import LevelOutput, level_outputs
from .joint_outputs import joint_levels

_BEFORE_CLASSES = 5  # a box and an objectness
_ANCHORS = range(2, 10)
_USUAL = (3, 5)
_FINEST = 8
_LINEAR = frozenset({"Conv", "Add", "Mul", "BatchNormalization", "QLinearConv"})
_WORDS = re.compile(r"anchor|bbox|boxes", re.IGNORECASE)
# A segmentation may stand on a YOLO's backbone, whose name is then in those of its weights.
_OUTPUT_WORDS = re.compile(r"yolo(?!.*(seg|mask|sem))", re.IGNORECASE)


@dataclass(frozen=True)
class JointMap:
    """A map that holds, or may hold, boxes with classes.

    Attributes:
        output: Its name.
        channels: Numbers of a place.
        stride: Pixels of the image between two places.
        anchors: Anchors of a place.
        evidence: What shows boxes; empty: it may as well be a segmentation.
    """

    output: str
    channels: int
    stride: int
    anchors: int
    evidence: str

    @property
    def classes(self) -> int:
        """Classes of an anchor."""
        return self.channels // self.anchors - _BEFORE_CLASSES

    @property
    def seen(self) -> str:
        """What was seen, in words."""
        return (
            f"{self.output} holds {self.channels} = {self.anchors} x (5 + {self.classes}) numbers "
            f"for each place of stride {self.stride}, as boxes with classes do: {self.evidence}"
        )

    @property
    def doubt(self) -> str:
        """What users should know where nothing shows which of the two it is."""
        return (
            f"the {self.channels} numbers of {self.output!r} for each place of stride "
            f"{self.stride} are explained as classes; they may be {self.anchors} boxes with "
            f"{self.classes} classes each, {self.anchors} x (5 + {self.classes}), before their "
            "decoding. If so, export the model with the decoding inside; if not, --labels (class "
            "names) or --detector off says so"
        )


def joint_map(graph: ir.Graph, facts: FileFacts) -> JointMap | None:
    """Return the only output, if its channels fit boxes with classes and nothing speaks against it.

    Names that are as many as the channels, a Softmax or a Sigmoid at the end, and places closer
    than detectors have them speak against it.
    """
    one = _single_map(graph)
    if one is None or one.sigmoid or one.stride < _FINEST or one.channels == facts.classes:
        return None
    node = one.map.producer()
    if node is None or node.op_type not in _LINEAR:
        return None
    for anchors, evidence in (_by_names(one, facts), _by_metadata(one, facts)):
        if anchors:
            return _joint(one, anchors, evidence)
    likely = next((count for count in _USUAL if _fits(one.channels, count)), None)
    if likely is None:
        return None
    if word := _word(one, node):
        return _joint(one, likely, f"a name says {word!r}")
    return _joint(one, likely, "") if _is_pointwise(node) else None


def joint_seen(graph: ir.Graph, facts: FileFacts) -> str | None:
    """Return what was seen of outputs that hold boxes and classes together; None if not so.

    A map that is only in doubt counts where the user says that this is a detector.
    """
    if levels := joint_levels(graph, facts):
        return levels
    single = joint_map(graph, facts)
    return single.seen if single and (single.evidence or facts.insisted) else None


def _single_map(graph: ir.Graph) -> LevelOutput | None:
    if len(graph.outputs) != 1 or graph.outputs[0].shape is None:
        return None
    try:
        levels = level_outputs(graph, image_input(graph))
    except CaptureError:
        return None
    if len(levels) != 1 or len(dims_of(graph.outputs[0])) != 4:
        return None
    return levels[0][0]


def _joint(one: LevelOutput, anchors: int, evidence: str) -> JointMap:
    return JointMap(one.name, one.channels, one.stride, anchors, evidence)


def _fits(channels: int, anchors: int) -> bool:
    """Whether each anchor gets as many channels, of which one class or more are left."""
    each, rest = divmod(channels, anchors)
    return not rest and each > _BEFORE_CLASSES


def _by_names(one: LevelOutput, facts: FileFacts) -> tuple[int, str]:
    """The anchors for which the classes that have names are left; 0 if there are none."""
    for anchors in _ANCHORS:
        if facts.classes and one.channels == anchors * (_BEFORE_CLASSES + facts.classes):
            return anchors, f"{facts.whose_names} {facts.classes} classes"
    return 0, ""


def _by_metadata(one: LevelOutput, facts: FileFacts) -> tuple[int, str]:
    """The anchors whose sides the metadata hold; 0 if they hold none."""
    for key, text in (facts.texts or {}).items():
        if "anchor" not in key.lower():
            continue
        sides = _numbers(text)
        anchors, rest = divmod(len(sides), 2)
        if anchors and not rest and _fits(one.channels, anchors):
            return anchors, f"its metadata hold {key!r} of {anchors} boxes"
    return 0, ""


def _numbers(text: str) -> list[float]:
    """The numbers of a list, of a list of pairs, or of a text with commas."""
    try:
        return _flat(ast.literal_eval(text.strip()))
    except (ArithmeticError, ValueError, SyntaxError, MemoryError, RecursionError):
        return []


def _flat(found: Any) -> list[float]:
    if isinstance(found, (list, tuple)):
        return [number for one in cast("Sequence[Any]", found) for number in _flat(one)]
    return [float(found)] if isinstance(found, (int, float)) else []


def _word(one: LevelOutput, node: ir.Node) -> str:
    """A word of boxes in the name of the output, or of what makes it; empty if there is none."""
    names = [one.name, node.name or "", *(value.name or "" for value in node.inputs if value)]
    found = [_OUTPUT_WORDS.search(one.name), *map(_WORDS.search, names)]
    return next((match[0] for match in found if match), "").lower()


def _is_pointwise(node: ir.Node) -> bool:
    """Whether a 1 x 1 convolution makes it, as the last layer of such heads is."""
    if node.op_type != "Conv" or len(node.inputs) < 2 or node.inputs[1] is None:
        return False
    kernel = constant_of(node.inputs[1])
    return kernel is not None and kernel.shape[2:] == (1, 1)
