"""Outlines of objects become runs of pixels: those of polygons, and the run lengths of COCO.

Runs go down the columns of the photograph, from left to right, as COCO's do: place ``x * H + y``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....errors import TruthError
from ....limits import CROSSINGS

Runs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where runs of an object's pixels begin, and where they end, exclusive."""

Polygon: TypeAlias = NDArray[np.float64]
"""Corners (x, y), float64 [N, 2], in pixels of the photograph; the last joins the first."""

_FAR = 1e7  # pixels: no corner needs to lie farther away
_MOST_GROUPS = 7  # of five bits: 35, more than any count of pixels


@dataclass(frozen=True, eq=False)
class RunLengths:
    """COCO's run lengths of one mask: pixels outside, inside, outside and so on.

    Attributes:
        counts: Numbers of pixels, or their compressed text.
        size: Height and width of the mask.
    """

    counts: NDArray[np.int64] | str
    size: tuple[int, int]

    def runs(self) -> Runs:
        """Return the runs of the pixels inside.

        Raises:
            ValueError: The counts do not add up to the mask, or the text is damaged.
        """
        counts = self.counts
        if isinstance(counts, str):
            counts = decompress(counts)
        whole = self.size[0] * self.size[1]
        # Each is bounded before they are added: a sum of huge numbers would overflow.
        if len(counts) and (counts.min() < 0 or counts.max() > whole):
            raise ValueError("a run is longer than the mask, or negative")
        ends = np.cumsum(counts)
        if not len(ends) or ends[-1] != whole:
            raise ValueError(f"the runs do not add up to {self.size[0]} x {self.size[1]} pixels")
        return ends[0 : len(ends) // 2 * 2 : 2], ends[1::2]


def decompress(text: str) -> NDArray[np.int64]:
    """Return the counts in COCO's compressed run lengths.

    Each character holds five bits, the lowest first, and a sixth that says that more follow; from
    the fourth count on, the difference to the count two before is stored (``maskApi.c`` of
    pycocotools).

    Raises:
        ValueError: The text is damaged.
    """
    try:
        codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ValueError("it holds characters that are no run lengths") from None
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("it is cut off, or holds characters that are no run lengths")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_GROUPS:
        raise ValueError("a run has more bits than any photograph needs")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & 31) << shifts, starts)
    values -= np.where(codes[ends] & 16, 1 << 5 * lengths, 0)  # a negative number
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def crossings_of(polygon: Polygon, size: tuple[int, int]) -> int:
    """Return how often a polygon crosses the centre lines of the photograph's columns."""
    return int(_columns(_near(polygon), size)[1].sum())


def polygon_runs(polygon: Polygon, size: tuple[int, int]) -> Runs:
    """Return the runs of the pixels whose centre lies inside a polygon.

    A centre is inside if a line from it to the border crosses the polygon an odd number of times.

    Args:
        polygon: Its corners; what lies outside the photograph is cut off.
        size: Height and width of the photograph.
    """
    height = size[0]
    corners = _near(polygon)
    first, counts = _columns(corners, size)
    edge = np.repeat(np.arange(len(corners)), counts)
    column = first[edge] + np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
    (x0, y0), (x1, y1) = corners[edge].T, np.roll(corners, -1, axis=0)[edge].T
    # An edge that crosses a column is not upright: x1 - x0 is not 0.
    crossed = y0 + (column + 0.5 - x0) * (y1 - y0) / (x1 - x0)
    row = np.clip(np.ceil(crossed - 0.5), 0, height).astype(np.int64)
    # A closed line crosses each column an even number of times: the places pair up.
    places = np.sort(column * height + row)
    return places[0::2], places[1::2]


def paint(
    outlines: Iterable[list[Polygon] | RunLengths], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the mask [H, W] of all pixels that lie in at least one outline.

    Args:
        outlines: The polygons of an object, each of which is filled, or its run lengths.
        size: Height and width of the photograph.

    Raises:
        TruthError: Polygons cross more columns than `limits.CROSSINGS`.
        ValueError: Run lengths are damaged.
    """
    height, width = size
    # How many outlines begin minus how many end at each place.
    change = np.zeros(height * width + 1, np.int32)
    left = CROSSINGS
    for outline in outlines:
        for part in outline if isinstance(outline, list) else [outline]:
            if isinstance(part, RunLengths):
                starts, ends = part.runs()
            else:
                left -= crossings_of(part, size)
                if left < 0:
                    raise TruthError(
                        f"the polygons cross the columns of the photograph more than {CROSSINGS:,} "
                        "times; simplify them, or give masks"
                    )
                starts, ends = polygon_runs(part, size)
            np.add.at(change, starts, 1)
            np.subtract.at(change, ends, 1)
    np.cumsum(change, out=change)
    return np.ascontiguousarray((change[:-1] > 0).reshape(width, height).T)


def paint_boxes(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask [H, W] of the pixels whose centre lies in at least one box.

    A box so thin that it contains no centre has the pixels in its middle.

    Args:
        boxes: Left, top, right, bottom, float64 [B, 4], inside the photograph.
        size: Height and width of the photograph.
    """
    (left, right), (top, bottom) = (
        _pixels(boxes[:, axis], boxes[:, axis + 2], size[1 - axis]) for axis in (0, 1)
    )
    change = np.zeros((size[0] + 1, size[1] + 1), np.int32)
    for rows, columns, step in (
        (top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1),
    ):  # fmt: skip
        np.add.at(change, (rows, columns), step)
    np.cumsum(change, axis=0, out=change)
    np.cumsum(change, axis=1, out=change)
    return change[:-1, :-1] > 0


def _pixels(
    start: NDArray[np.float64], end: NDArray[np.float64], extent: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first pixel of each stretch of an axis, and the last, exclusive."""
    first, last = (np.clip(np.ceil(one - 0.5), 0, extent).astype(np.int64) for one in (start, end))
    middle = np.clip((start + end) // 2, 0, extent - 1).astype(np.int64)
    thin = last <= first
    return np.where(thin, middle, first), np.where(thin, middle + 1, last)


def _near(polygon: Polygon) -> Polygon:
    return np.clip(polygon, -_FAR, _FAR)


def _columns(
    corners: Polygon, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first column whose centre line each edge crosses, and how many it crosses."""
    x = corners[:, 0]
    ends = np.ceil(np.sort([x, np.roll(x, -1)], axis=0) - 0.5)
    first, last = np.clip(ends, 0, size[1]).astype(np.int64)
    return first, last - first
