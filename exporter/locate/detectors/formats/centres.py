"""Heat maps of centres (CenterNet, CenterFace): [N, classes, h, w], with sizes and offsets beside.

Nothing in such a graph says what its numbers are; its outputs tell the family. One class with key
points beside it is CenterFace: logarithms of sizes in strides, the height first, centres counted
from the middle of a cell. Otherwise it is CenterNet: sizes in strides, the width first, centres
counted from the corner. Sizes come before offsets in both, unless names say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ....errors import CaptureError
from ..detection import Centres, Detection, Entries, image_input
from ..file_facts import FileFacts
from ..tables.level_outputs import LevelOutput, level_outputs, names_of

_FACE = 10  # numbers of five key points
_FINEST = 8  # the largest stride that centres of objects are told apart at


def centres(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise a heat map of classes beside two maps of two numbers, all on one grid."""
    try:
        levels = level_outputs(graph, image_input(graph))
    except CaptureError:
        return None
    if len(levels) != 1 or not 1 < levels[0][0].stride <= _FINEST:
        return None
    level = levels[0]
    heat = [one for one in level if one.sigmoid] or _logits(level, facts)
    pairs = [
        one for one in level if one.channels == 2 and not one.sigmoid and one not in heat
    ]  # fmt: skip
    if len(heat) != 1 or len(pairs) != 2:
        return None
    classes, face = heat[0].channels, _is_face(heat[0], level)
    sizes, offsets = _in_order(pairs)
    grows = sizes.map.producer()
    exponential = face and not (grows is not None and grows.op_type == "Exp")
    numbers = "logarithms, the height first" if exponential else "in strides, the width first"
    notes = [f"sizes of boxes are read as {numbers}"]
    rest = [one for one in level if one not in (heat[0], sizes, offsets)]
    if rest:
        notes.append(f"boxes are explained by class and edge; {names_of(rest)} are not")
    return Detection(
        "centres",
        [Entries(heat[0].map, 2, 0, classes)],
        Centres(
            sizes.map, offsets.map, level[0].stride, exponential=exponential,
            vertical_first=face, offset=0.5 if face else 0.0,
        ),
        "pose" if face else "detect",
        activated=heat[0].sigmoid,
        names=facts.names,
        size=facts.size,
        evidence=[
            f"{heat[0].name} is {'a sigmoid' if heat[0].sigmoid else 'logits'} of {classes} "
            f"classes at stride {level[0].stride}, "
            f"{sizes.name} and {offsets.name} hold two numbers for each of its places"
        ],
        notes=notes,
    )  # fmt: skip


def _logits(level: Sequence[LevelOutput], facts: FileFacts) -> list[LevelOutput]:
    """A heat map whose sigmoid is outside the graph, where names or the user say that it is one."""
    named = [one for one in level if one.is_called("hm", "heat", "cent")]
    if named or not facts.insisted:
        return named
    return [one for one in level if one.channels != 2]


def _is_face(heat: LevelOutput, level: Sequence[LevelOutput]) -> bool:
    return heat.channels == 1 and any(one.channels == _FACE for one in level)


def _in_order(pairs: Sequence[LevelOutput]) -> tuple[LevelOutput, LevelOutput]:
    """Sizes and offsets."""
    first, second = pairs
    swapped = first.is_called("off", "reg") or second.is_called("wh", "size", "scale")
    kept = first.is_called("wh", "size", "scale") or second.is_called("off", "reg")
    return (second, first) if swapped and not kept else (first, second)
