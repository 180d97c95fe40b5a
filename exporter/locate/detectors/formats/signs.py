"""`detector_signs` says what shows that a graph is a detector, where no format fits it.

A detector taken for a classifier gives maps of a coordinate or of a slot, without a word. So its
signs forbid that path. Each is one that no classifier, segmenter or text model has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

import onnx_ir as ir

from ....graph.emitter import dims_of
from ....graph.queries import subgraphs
from ..file_facts import TASKS, FileFacts
from ..tables.entry_parts import entry_parts
from .end_to_end import slot_columns
from .joint_map import joint_seen
from .joint_outputs import JOINT

_STRIDES = (4, 8, 16, 32, 64, 128)
_LEAST = 5  # entries of a dense output: a box and a class
_BOX_WORDS = ("box", "bbox")


def detector_signs(graph: ir.Graph, facts: FileFacts) -> list[str]:
    """Return what was seen of a detector; nothing for any other model."""
    found = list[str]()
    if facts.is_family and facts.task in TASKS:
        found.append(f"its metadata say task {facts.task!r}")
    suppression = next(_suppressions(graph), None)
    if suppression is not None:
        found.append(f"it has a {suppression}")
    size = _image_size(graph)
    if not found and size is None:
        return []
    outputs = [value for value in graph.outputs if value.shape is not None]
    for value in outputs:
        found += _of_output(value, size)
    joint = joint_seen(graph, facts)
    found += [joint] if joint else []
    return found + _of_pairs(outputs) + _of_levels(outputs, size) + _of_centres(outputs)


def _suppressions(graph: ir.Graph | Iterable[ir.Node], inside: str = "") -> Iterator[str]:
    """Suppressions of overlapping boxes, ONNX's and those of other runtimes."""
    for node in graph:
        name = node.op_type.lower()
        if "nonmaxsuppression" in name or "nms" in name:
            yield node.op_type + inside
        for inner in subgraphs(node):
            yield from _suppressions(inner, f" in a branch of {node.op_type} {node.name!r}")


def _image_size(graph: ir.Graph) -> tuple[int | None, int | None] | None:
    """Height and width of the first image, None where they are open; None without an image."""
    for value in graph.inputs:
        if value.shape is None or len(value.shape) != 4 or value.is_initializer():
            continue
        dims = dims_of(value)
        sides = dims[1:3] if dims[3] in (1, 3) and dims[1] not in (1, 3) else dims[2:]
        height, width = (side if isinstance(side, int) else None for side in sides)
        return height, width
    return None


def _of_output(value: ir.Value, size: tuple[int | None, int | None] | None) -> list[str]:
    """Signs of one output of rank 3: a row for each cell of several levels, or slots."""
    dims = dims_of(value)
    if len(dims) != 3:
        return []
    shape = " x ".join("?" if dim is None else str(dim) for dim in dims)
    found = list[str]()
    if slot_columns(entry_parts(value, 2)) is not None:
        found.append(f"{value.name!r} [{shape}] has slots with a score of TopK and a class")
    if size is not None and None not in size:
        for axis in (1, 2):
            extent, entries = dims[axis], dims[3 - axis]
            strides = _cells(extent, size) if isinstance(extent, int) else None
            if strides and isinstance(entries, int) and entries >= _LEAST:
                words = ", ".join(map(str, strides))
                found.append(
                    f"{value.name!r} [{shape}] has {extent} rows, as many as the cells of strides "
                    f"{words}"
                )
                break
    return found


def _cells(count: int, size: tuple[int | None, int | None]) -> tuple[int, ...] | None:
    """The strides of several levels whose cells are as many, or a small multiple of them."""
    height, width = size
    assert height is not None
    assert width is not None
    grids = {s: -(-height // s) * -(-width // s) for s in _STRIDES if s < min(height, width)}
    runs = [
        strides for length in (3, 4, 5, 2) for strides in combinations(grids, length)
        if all(after == 2 * before for before, after in pairwise(strides))
    ]  # fmt: skip
    for strides in runs:
        cells = sum(grids[one] for one in strides)
        if count in (cells, 3 * cells):
            return strides
    return None


def _of_pairs(outputs: Sequence[ir.Value]) -> list[str]:
    """Boxes and scores of as many queries or anchors as two outputs."""
    tables = [value for value in outputs if len(dims_of(value)) == 3]
    for boxes in tables:
        named = any(word in (boxes.name or "").lower() for word in _BOX_WORDS)
        if dims_of(boxes)[2] != 4 or not (named or _ends_in_sigmoid(boxes)):
            continue
        for other in tables:
            if other is not boxes and dims_of(other)[1] == dims_of(boxes)[1]:
                return [f"{boxes.name!r} and {other.name!r} hold boxes and scores of "
                        f"{dims_of(boxes)[1]} rows"]  # fmt: skip
    return []


def _of_levels(
    outputs: Sequence[ir.Value], size: tuple[int | None, int | None] | None
) -> list[str]:
    """Two outputs or more for each of several levels, of which one has numbers of boxes."""
    if size is None or None in size:
        return []
    height, width = size
    assert height is not None
    assert width is not None
    found = list[int]()
    for stride in _STRIDES:
        grid = [-(-height // stride), -(-width // stride)]
        entries = [
            dims[2] if len(dims) == 3 else dims[1]
            for dims in map(dims_of, outputs)
            if (len(dims) == 3 and dims[1] == grid[0] * grid[1])
            or (len(dims) == 4 and dims[2:] == grid)
        ]
        boxes = [one for one in entries if isinstance(one, int) and one % 4 == 0]
        if len(entries) > 1 and boxes:
            found.append(stride)
    if len(found) < 2:
        return []
    return [f"it has several outputs for each of the strides {', '.join(map(str, found))}"]


def _of_centres(outputs: Sequence[ir.Value]) -> list[str]:
    """A heat map, with pairs of numbers for each of its places."""
    maps = [value for value in outputs if len(dims_of(value)) == 4]
    for heat in maps:
        pairs = [
            one.name for one in maps
            if one is not heat and dims_of(one)[1] == 2 and dims_of(one)[2:] == dims_of(heat)[2:]
        ]  # fmt: skip
        if len(pairs) > 1:
            return [f"{heat.name!r} is a heat map, and {pairs[0]!r} and {pairs[1]!r} have two "
                    "numbers for each of its places"]  # fmt: skip
    return []


def _ends_in_sigmoid(value: ir.Value) -> bool:
    parts = entry_parts(value, 2)
    return bool(parts) and all(part.activation == "Sigmoid" for part in parts)


def nearest_reason(graph: ir.Graph, facts: FileFacts) -> str:
    """What kept outputs from being read, for the message of a refusal."""
    if joint_seen(graph, facts):
        return JOINT
    if any(node.op_type == "DequantizeLinear" for node in graph):
        return (
            "it is quantised (DequantizeLinear), which hides what its outputs hold; export the "
            "float model, and make the artifact int8 with `graftcam shrink`"
        )
    for value in graph.outputs:
        if value.shape is None or len(dims_of(value)) != 3:
            continue
        for axis in (1, 2):
            parts = entry_parts(value, axis)
            if not parts or parts[-1].end < _LEAST or facts.grid is None:
                continue
            if axis == 1 and dims_of(value)[2] == parts[-1].end:
                continue
            if any(part.activation for part in parts) or len(parts) > 1:
                if facts.grid(value, 3 - axis, 0) is None:
                    return (
                        f"the first four entries of {value.name!r} do not follow a grid of "
                        "anchors, so boxes are decoded outside the graph or are none"
                    )
                return f"nothing shows how many entries of {value.name!r} are classes"
    return "no format fits its outputs"
