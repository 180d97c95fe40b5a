"""`level_parts` cuts a detector's table of boxes into those of each level, by structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..detection import Entries
from .image_maps import ImageMaps


@dataclass(frozen=True)
class LevelPart:
    """The boxes of one level in a table.

    Attributes:
        maps: The last maps that they are computed from.
        count: Their number.
    """

    maps: list[ir.Value]
    count: int


def level_parts(maps: ImageMaps, tables: Sequence[Entries]) -> list[LevelPart]:
    """Parts of tables, in the order of boxes; empty where their numbers do not add up.

    Args:
        maps: Of the graph.
        tables: The values of all boxes, or one of each level.
    """
    found: list[LevelPart] = []
    for table in tables:
        boxes = _boxes(maps, table)
        if not boxes:
            return []
        ways = _ways(maps, table.value)
        cut = [_levels_of(maps, _joined(maps, way), boxes) for way in ways]
        counts = [[part.count for part in parts] for parts in cut]
        if not cut[0] or any(one != counts[0] for one in counts):
            return []
        for parts in zip(*cut, strict=True):
            found.append(LevelPart([one for part in parts for one in part.maps], parts[0].count))
    return found if all(_covers(maps, one) for one in found) else []


def _levels_of(
    maps: ImageMaps, parts: Sequence[tuple[ir.Value, int]], boxes: int
) -> list[LevelPart]:
    """The levels that a Concat joins, ``boxes`` in all; empty where their numbers do not add up."""
    total = sum(extent for _, extent in parts)
    if len(parts) > 1 and (total < 1 or boxes % total):
        return []
    return [
        LevelPart(maps.behind(value)[0], boxes if len(parts) == 1 else extent * boxes // total)
        for value, extent in parts
    ]


def _ways(maps: ImageMaps, value: ir.Value) -> list[ir.Value]:
    """The Concats of levels that ``value`` is computed from, none behind another; itself if none.

    FCOS, for example, makes scores of two tables: of its classes and of how central a place is.
    """
    between, found = maps.behind(value)[1], list[ir.Value]()
    covered = set[ir.Value]()
    for one in sorted(between, key=maps.order.__getitem__, reverse=True):
        node = one.producer()
        if one in covered or node is None or node.op_type != "Concat":
            continue
        if _joins_levels(maps, one):
            found.append(one)
            covered |= maps.behind(one)[1]
    return found or [value]


def _boxes(maps: ImageMaps, table: Entries) -> int:
    """Number of boxes in a table; 0 if it is not known."""
    shape = maps.shape(table.value)
    if len(shape) == 4:
        return table.anchors * shape[2] * shape[3]
    return shape[table.box_axis] if len(shape) == 3 else 0


def _covers(maps: ImageMaps, part: LevelPart) -> bool:
    """Whether boxes are as many as places of one grid, or a multiple."""
    grids = {maps.grid(one) for one in part.maps}
    return len(grids) == 1 and all(part.count % (rows * columns) == 0 for rows, columns in grids)


def _joined(maps: ImageMaps, value: ir.Value) -> list[tuple[ir.Value, int]]:
    """What the last Concat of levels before ``value`` joins, with its extents."""
    between = maps.behind(value)[1]
    for one in sorted(between, key=maps.order.__getitem__, reverse=True):
        node = one.producer()
        if node is None or node.op_type != "Concat" or not _joins_levels(maps, one):
            continue
        axis = node.attributes["axis"].as_int()
        parts: list[tuple[ir.Value, int]] = []
        for before in node.inputs:
            if before is None or before not in maps.order or not maps.shape(before):
                continue
            inner, extent = _joined(maps, before), maps.shape(before)[axis]
            total = sum(length for _, length in inner)
            if len(inner) == 1 or total < 1:
                parts.append((before, extent))
            else:
                parts += [(part, length * extent // total) for part, length in inner]
        return parts
    return [(value, 0)]


def _joins_levels(maps: ImageMaps, joined: ir.Value) -> bool:
    """Whether a Concat's inputs come from different maps, on grids of their own.

    Boxes and classes of one place come from one grid; the coordinates of a box come from one map.
    """
    groups = [maps.behind(one)[0] for one in maps.feeding(joined)]
    if len(groups) < 2 or not all(groups):
        return False
    if len(set[ir.Value]().union(*groups)) < sum(map(len, groups)):
        return False
    grids = [{maps.grid(one) for one in group} for group in groups]
    if all(one == grids[0] for one in grids):
        return False
    single = all(len(one) == 1 for one in grids)
    return single or len(set[object]().union(*grids)) == sum(map(len, grids))
