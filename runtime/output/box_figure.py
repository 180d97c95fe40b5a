"""`box_sheet` arranges the image with its boxes, and a panel for each box and each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..boxes.detections import Detection, Detections
from ..inputs.image_files import Pixels
from ..spec.detector import TARGETS
from .bars import bars_of
from .explanation_data import ExplanationData
from .render import Look, Sheet, Tile
from .render.boxes import Label, class_colour, draw_boxes, outline
from .views import Drawing, PhotoView, PlaneView, View

_HEIGHT = 320  # of a panel, in pixels
_TALLEST, _NARROWEST = 760, 250
_WIDEST = 1600  # of a row of panels
_MOST = 4  # panels in a row
_NAMED = 12  # with more boxes, labels are numbers: the panels' titles have the names


def framed(drawn: Pixels, view: View, box: Detection, why: str) -> Pixels:
    """Outline a box on a drawing of the image, in place; of an edge, that edge is thick."""
    corners = _corners(drawn, view, box)
    if corners is not None:
        edge = None if why == TARGETS[0] else why
        outline(drawn, corners, class_colour(box.class_id), edge)
    return drawn


def numbered(view: View, boxes: Sequence[Detection], height: int | None = None) -> Pixels:
    """Draw the image with numbered boxes, their names and probabilities."""
    plain = view.plain(height)
    labels: list[Label] = []
    for box in boxes:
        corners = _corners(plain, view, box)
        if corners is not None:
            text = f"{box.number} {box.name} {box.probability}"
            short = str(box.number)
            colour = class_colour(box.class_id)
            labels.append(Label(corners, short if len(boxes) > _NAMED else text, short, colour))
    return draw_boxes(plain, labels)


def box_sheet(
    data: ExplanationData,
    detections: Detections,
    explained: Sequence[Detection],
    whys: Sequence[str],
    shares: Sequence[float | None],
    height: int | None,
    look: Look,
) -> Sheet:
    """Set the image with its boxes, a panel for each map and one for each class in rows.

    Args:
        data: The maps.
        detections: The image's boxes.
        explained: The box of each map.
        whys: Its target.
        shares: The share of the map in its box.
        height: Height of each panel in pixels; None: 320, more for upright images.
        look: How maps are drawn.
    """
    tall = height or _height(data.view)
    tiles = [Tile(numbered(data.view, detections, tall), data.name, _heading(data, detections))]
    for position, (box, why) in enumerate(zip(explained, whys, strict=True)):
        title = f"{box.number} {box.name} {box.probability}"
        if why != TARGETS[0]:
            title = f"{box.number} {box.name}: {why}"
        share = shares[position]
        note = "" if share is None else f"{share:.0%} of the map in the box"
        tiles.append(Tile(data.draw_map(position, tall, look), title, note))
    tiles += _classes(data, explained, whys, tall, look)
    widest = max(tile.image.shape[1] for tile in tiles if tile.image is not None)
    columns = min(_MOST, max(1, _WIDEST // widest), len(tiles))
    columns = -(-len(tiles) // -(-len(tiles) // columns))  # rows of about equal length
    return Sheet(tiles, tall, columns, bars_of([data], look))


def _height(view: View) -> int:
    """Return the height of a panel: upright images are larger, so that titles have room."""
    if not isinstance(view, (PhotoView, PlaneView)):
        return _HEIGHT
    return min(max(_HEIGHT, round(_NARROWEST * view.shape[0] / view.shape[1])), _TALLEST)


def _corners(drawn: Pixels, view: View, box: Detection) -> tuple[float, float, float, float] | None:
    """Return a box's corners in pixels of a drawing; None if the view shows no plane."""
    if not isinstance(view, (PhotoView, PlaneView)):
        return None
    down, across = (drawn.shape[axis] / view.shape[axis] for axis in (0, 1))
    left, top, right, bottom = box.box
    return left * across, top * down, right * across, bottom * down


def _heading(data: ExplanationData, detections: Detections) -> str:
    count = len(detections)
    if detections.near_miss:
        return f"best candidate, below {detections.conf:g}; {data.method}"
    return f"{count or 'no'} box{'es' * (count != 1)}; {data.method}"


def _classes(
    data: ExplanationData,
    explained: Sequence[Detection],
    whys: Sequence[str],
    tall: int,
    look: Look,
) -> list[Tile]:
    """Draw the maximum of the normalised maps of each class that has several boxes."""
    positions: dict[int, list[int]] = {}
    for position, (box, why) in enumerate(zip(explained, whys, strict=True)):
        if why == TARGETS[0] and data.status[position] == "ok":
            positions.setdefault(box.class_id, []).append(position)
    tiles: list[Tile] = []
    for class_id, own in positions.items():
        if len(own) < 2:
            continue
        maps = np.stack([data.shown(position, replace(look, scale="own")) for position in own])
        strongest = np.abs(maps).argmax(axis=0)
        values = np.take_along_axis(maps, strongest[None], axis=0)[0]
        drawn = data.view.draw(Drawing(values, data.palette(look), look, tall))
        for position in own:
            corners = _corners(drawn, data.view, explained[position])
            if corners is not None:
                outline(drawn, corners, class_colour(class_id))
        tiles.append(Tile(drawn, explained[own[0]].name, f"maximum of {len(own)} boxes"))
    return tiles
