"""A `Sheet` is an arrangement of images with titles and colour bars, before it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...inputs.image_files import Pixels
from .bars import Bar


@dataclass(frozen=True, eq=False)
class Tile:
    """One place of a sheet.

    Attributes:
        image: RGB uint8 [H, W, 3]; None: the place is empty.
        title: What stands above it.
        note: A second, smaller line.
    """

    image: Pixels | None
    title: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Images in rows.

    Attributes:
        tiles: Row by row.
        height: Height of an image in pixels.
        columns: Number of images in a row.
        bars: Colour bars, at the right end of the first row.
        rows: A name for each row, written upwards beside its second image; empty: no names.
    """

    tiles: Sequence[Tile]
    height: int
    columns: int
    bars: Sequence[Bar] = ()
    rows: Sequence[str] = ()

    def in_rows(self) -> list[Sequence[Tile]]:
        """Return the tiles of each row."""
        starts = range(0, len(self.tiles), self.columns)
        return [self.tiles[start : start + self.columns] for start in starts]
