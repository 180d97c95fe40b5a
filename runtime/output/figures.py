"""`figure` draws explanations of one image side by side; `sheet_of` arranges them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from ..errors import RenderError
from ..inputs.image_files import Pixels
from ..writing import protected, replace_file
from .bars import bars_of
from .explanation_data import ExplanationData
from .printed import PRINTED, WIDTH, print_sheet
from .render import Look, LookOptions, Sheet, Tile, draw_sheet, write_image

_WIDEST = 1600  # of a row of images, in pixels
_MOST = 6  # images in a row
_HEIGHT = 320  # of an image, in pixels
_WIDEST_IMAGE = 6400  # of one image, in pixels: a panorama of 20 to 1


def figure(
    found: Sequence[ExplanationData], height: int | None = None, **look: Unpack[LookOptions]
) -> Pixels:
    """Draw explanations of one image, for example by several methods, together: RGB uint8.

    The image, or another input, comes first, then each class by each method. With several classes
    and several methods, each method has a row. Explanations by one method of one layer, such as
    those of a caption's words, are drawn like the classes of one. Colour bars say what the colours
    mean, in words and in raw values.

    Args:
        found: Explanations of one image, for example from `Explainer.compare`.
        height: Height of each drawing in pixels; small images are enlarged. None: 320 for images
            (less for one wider than 20 to 1), the view's own height for signals, volumes, clips and
            text, one in each row.
        look: As for `Explanation.draw`.

    Raises:
        RenderError: There are no explanations, they are not of one image, or a part of the look
            is unknown, or a drawing becomes too large.
    """
    return draw_sheet(sheet_of(found, height, Look(**look)))


def save_figure(
    found: Sequence[ExplanationData],
    path: str | Path,
    width: float = WIDTH,
    **look: Unpack[LookOptions],
) -> Path:
    """Write explanations of one image together, as `figure` draws them.

    Args:
        found: As for `figure`.
        path: The file. SVG and PDF are made for print: text and ticks are vectors, images have 300
            dots an inch. Other suffixes are those of images.
        width: Of an SVG or PDF, in inches; 3.3 suits a column of a journal, 7 a page.
        look: As for `Explanation.draw`.

    Raises:
        RenderError: As `figure`, the file cannot be written, matplotlib is missing, or the width
            is out of range.
    """
    path, chosen = Path(path), Look(**look)
    with protected([source for one in found for source in one.sources]):
        if path.suffix.lower() not in PRINTED:
            return write_image(path, draw_sheet(sheet_of(found, None, chosen)))
        page = print_sheet(
            lambda height: sheet_of(found, height, chosen), path.suffix.lower(), width
        )
        return replace_file(path, page, RenderError)


def sheet_of(found: Sequence[ExplanationData], height: int | None, look: Look) -> Sheet:
    """Arrange explanations of one image as `figure` draws them; each name stands once."""
    if not found or any(one.view.shape != found[0].view.shape for one in found):
        raise RenderError("a figure needs one or more explanations of one image")
    first, longest = found[0], max(len(one.classes) for one in found)
    own_row = first.view.own_row
    names = names_of(found)
    several = len(set(names)) > 1
    grid = several and longest > 1 and not own_row
    # One class by several methods: the class stands at the image.
    lone = several and longest == 1 and len({tuple(one.classes) for one in found}) == 1
    tall = height or (first.image.shape[0] if own_row else _height(first.image))
    image, empty = first.draw_input(tall), Tile(None)
    note = first.layer if several else f"{first.method}, {first.layer}"
    if lone:
        note = f"{first.labels[0]}, {confidence(first, 0)}; {note}"
    bars = bars_of(found, look)
    strengths = bool(bars) and look.scale == "own" and _drawable(found) > 1
    tiles = [Tile(image, first.name, note)]
    for number, (name, one) in enumerate(zip(names, found, strict=True)):
        if grid and number:
            tiles.append(empty)
        for position, label in enumerate(one.labels):
            most = f"up to {one.full(look, position):.2g}" if strengths else ""
            most = most if one.status[position] == "ok" else ""
            title, notes = label, [confidence(one, position), most]
            above = first.labels[position : position + 1]
            if lone or (grid and number and above == [label]):
                title, notes = ("" if grid else name), [most]
            elif several and not grid:
                title, notes = name, [label, *notes]
            drawn = one.draw_map(position, tall, look)
            tiles.append(Tile(drawn, title, ", ".join(filter(None, notes))))
        tiles += [empty] * (longest - len(one.classes) if grid else 0)
    count, most_in_row = len(tiles), min(_MOST, max(2, _WIDEST // image.shape[1]))
    # Without a grid, rows are about equally long.
    columns = 1 + longest if grid else -(-count // -(-count // most_in_row))
    columns = 1 if own_row else columns
    return Sheet(tiles, tall, columns, bars, names if grid else [])


def _drawable(found: Sequence[ExplanationData]) -> int:
    return sum(one.status.count("ok") for one in found)


def _height(image: Pixels) -> int:
    """Return the height to draw an image at; a very wide one would be a sheet of gigabytes."""
    height, width = image.shape[:2]
    return max(1, min(_HEIGHT, height * _WIDEST_IMAGE // width))


def names_of(found: Sequence[ExplanationData]) -> list[str]:
    """Return names that distinguish the explanations: their methods, their layers, or both."""
    columns = [[one.method for one in found], [one.layer for one in found]]
    different = [column for column in columns if len(set(column)) > 1] or columns[:1]
    return [", ".join(parts) for parts in zip(*different, strict=True)]


def caption_of(found: ExplanationData, position: int, name: str = "") -> str:
    """Return a line about one class's map: what is drawn, the class and its probability."""
    words = [name or found.method, found.labels[position], confidence(found, position)]
    return ", ".join(words)


def confidence(found: ExplanationData, position: int) -> str:
    """Return a class's probability, or its score, as text."""
    probability = found.probability(position)
    if probability is None:
        return f"score {found.scores[position]:.3g}"
    return f"p = {probability:.3f}"
