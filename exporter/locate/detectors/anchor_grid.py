"""`anchor_grid` reads the meaning of boxes off their decoding, with all predictions at zero.

Where the head predicts nothing, boxes lie where their anchors are and are as large as these. Then
it shows which of the four numbers follow the grid: two do if they are a centre, four if they are
corners; and whether they are pixels or shares, and which of them change along a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ....runtime.spec.detector import BoxLayout, BoxUnits
from ...graph.emitter import constant_of
from ...graph.infer_shapes import trial_feeds
from ...graph.ort_session import session_of
from ...graph.queries import inputs_of

SIDES = (320, 640, 224, 64)
"""Sides of an open image to try, if the file names none."""
_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "ConvInteger", "QLinearConv"})
_UNIT = 2.0  # more than any share of a side, less than any centre in pixels but the first ones
_FEWER = 0.75  # times as many different sizes as different positions, at most
_OUTSIDE = 0.1  # of a side: how far from the image a centre may be
_ROUND = 1e-4  # of the image's side: positions that differ by less are the same


@dataclass(frozen=True)
class AnchorGrid:
    """What the decoding of boxes shows.

    Attributes:
        layout: Corners, or centre and size.
        units: Pixels, or shares of the input's sides.
        vertical_first: Each pair has the vertical number first.
        boxes: Number of boxes.
        strides: Pixels from one anchor to the next along a row, the levels' in order of size.
        size: Height and width of the input that they were read at.
        full: The boxes are all cells of grids of these strides.
    """

    layout: BoxLayout
    units: BoxUnits
    vertical_first: bool
    boxes: int
    strides: tuple[int, ...]
    size: tuple[int, int]
    full: bool

    @property
    def words(self) -> str:
        """As evidence."""
        strides = ", ".join(map(str, self.strides))
        if self.full:
            return f"{self.boxes} boxes are the cells of strides {strides} at {_by(self.size)}"
        return f"{self.boxes} boxes lie on grids of strides {strides} at {_by(self.size)}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def anchor_grid(
    model: ir.Model,
    value: ir.Value,
    box_axis: int,
    first: int,
    folder: Path | None,
    size: tuple[int, int] | None,
) -> AnchorGrid | None:
    """Read the four numbers of all boxes in ``value``, with all predictions at zero.

    Args:
        model: The model.
        value: Of its graph, of rank 3.
        box_axis: The axis of the boxes, 1 or 2.
        first: The first of the four entries.
        folder: The folder of its external data.
        size: Height and width to take for open sides.

    Returns:
        None if the model cannot be run, or its boxes follow no grid.
    """
    found = _at_rest(model, value, folder, size)
    if found is None:
        return None
    numbers, image = found
    numbers = numbers[0] if box_axis == 1 else numbers[0].T
    return read_grid(numbers[:, first : first + 4].astype(np.float64), image)


def read_grid(numbers: npt.NDArray[np.float64], size: tuple[int, int]) -> AnchorGrid | None:
    """Read boxes [boxes, 4] that lie on their anchors; see `anchor_grid`."""
    if len(numbers) < 2 or numbers.shape[1] != 4 or not np.isfinite(numbers).all():
        return None
    extent = np.abs(numbers).max()
    steps = max(extent, 1e-9) * _ROUND
    of_centres = _distinct(numbers[:, 2], steps) + _distinct(numbers[:, 3], steps)
    widths = numbers[:, 2:] - numbers[:, :2]
    of_corners = _distinct(widths[:, 0], steps) + _distinct(widths[:, 1], steps)
    if min(of_centres, of_corners) > max(of_centres, of_corners) * _FEWER:
        return None
    layout: BoxLayout = "cxcywh" if of_centres < of_corners else "xyxy"
    centres = numbers[:, :2] if layout == "cxcywh" else numbers[:, :2] + widths / 2
    moved = np.abs(np.diff(centres, axis=0)) > steps
    changes = np.flatnonzero(moved.any(axis=1))
    if not len(changes) or moved[changes[0]].all():
        return None
    vertical_first = bool(moved[changes[0], 1])
    units: BoxUnits = "unit" if np.abs(centres).max() < _UNIT else "pixels"
    across = centres[:, 1] if vertical_first else centres[:, 0]
    along = np.diff(across) * (size[1] if units == "unit" else 1)
    same_row = ~moved[:, 0 if vertical_first else 1] & (along > 0)
    strides = tuple(int(one) for one in np.unique(np.round(along[same_row])) if one >= 1)
    if not strides or not _inside(centres, size if vertical_first else size[::-1], units):
        return None
    cells = sum(math.ceil(size[0] / one) * math.ceil(size[1] / one) for one in strides)
    full = len(numbers) % cells == 0
    return AnchorGrid(layout, units, vertical_first, len(numbers), strides, size, full)


def _inside(centres: npt.NDArray[np.float64], sides: tuple[int, ...], units: BoxUnits) -> bool:
    """Whether centres lie in the image, and all over it."""
    shares = centres / (np.array(sides) if units == "pixels" else 1)
    return bool(
        (np.abs(shares - 0.5) <= 0.5 + _OUTSIDE).all() and (np.ptp(shares, axis=0) > 0).all()
    )


def _distinct(values: npt.NDArray[np.float64], step: float) -> int:
    return len(np.unique(np.round(values / step)))


def _at_rest(
    model: ir.Model, value: ir.Value, folder: Path | None, size: tuple[int, int] | None
) -> tuple[npt.NDArray[Any], tuple[int, int]] | None:
    """The value where every last layer with weights before it gives zeros, and the image's size."""
    clone = model.clone()
    graph = clone.graph
    made = {one.name: one for node in graph for one in node.outputs}
    wanted = made.get(value.name)
    if wanted is None:
        return None
    for number, leaf in enumerate(_predictions(wanted)):
        producer, readers = leaf.producer(), list(leaf.uses())
        node = ir.node("Sub", [leaf, leaf], name=f"graftcam/rest/{number}")
        assert producer is not None
        graph.insert_after(producer, node)
        node.outputs[0].name = node.name
        for reader, place in readers:
            reader.replace_input_with(place, node.outputs[0])
    graph.outputs.clear()
    graph.outputs.append(wanted)
    try:
        session = session_of(clone, folder)
    except Exception:  # ONNX Runtime's exceptions share no base of their own
        return None
    for side in dict.fromkeys([size[0] if size else SIDES[0], *SIDES]):
        feeds = trial_feeds(model.graph, side)
        images = [one.shape for one in feeds.values() if one.ndim == 4]
        try:
            (numbers,) = session.run(None, feeds)
        except Exception:
            continue
        return (numbers, _sides(images[0])) if images and numbers.ndim == 3 else None
    return None


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)
    return (shape[1], shape[2]) if last else (shape[2], shape[3])


def _predictions(value: ir.Value) -> list[ir.Value]:
    """The results of the last layers with weights before a value."""
    seen, stack, found = {value}, [value], list[ir.Value]()
    while stack:
        one = stack.pop()
        node = one.producer()
        if node is None:
            continue
        weighted = node.op_type in _LAYERS or (
            node.op_type == "MatMul" and any(constant_of(each) is not None for each in node.inputs)
        )
        if weighted:
            found.append(one)
            continue
        fresh = [each for each in inputs_of(node) if each not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return found
