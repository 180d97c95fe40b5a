"""`figure` draws explanations of one image side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from ..errors import RenderError
from ..inputs.image_files import Pixels
from .class_map import ClassMap, class_maps
from .explanation_data import ExplanationData
from .render import Bar, Look, LookOptions, palette, panel
from .render.styles import LEVELS

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
    those of a caption's words, are drawn like the classes of one. Colour bars show the scale of
    each map, or of all maps of an explanation if the scale is shared.

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
    if not found or any(one.view.shape != found[0].view.shape for one in found):
        raise RenderError("a figure needs one or more explanations of one image")
    first, longest = found[0], max(len(one.classes) for one in found)
    own_row = first.view.own_row
    names = _names(found)
    several = len(set(names)) > 1
    grid = several and longest > 1 and not own_row
    tall = height or (first.image.shape[0] if own_row else _height(first.image))
    image, empty = first.draw_input(tall), (None, "", "")
    note = first.layer if several else f"{first.method}, {first.layer}"
    tiles: list[tuple[Pixels | None, str, str]] = [(image, first.name, note)]
    for name, one in zip(names, found, strict=True):
        if grid and len(tiles) > 1:
            tiles.append(empty)
        for shown in class_maps(one):
            title, note = shown.label, _confidence(shown)
            if several:
                title, note = (title, name) if grid else (name, f"{title}, {note}")
            tiles.append((shown.draw(tall, **look), title, note))
        tiles += [empty] * (longest - len(one.classes) if grid else 0)
    count, most = len(tiles), min(_MOST, max(2, _WIDEST // image.shape[1]))
    # Without a grid, rows are about equally long.
    columns = 1 + longest if grid else -(-count // -(-count // most))
    columns = 1 if own_row else columns
    images, titles, notes = zip(*tiles, strict=True)
    return panel(images, titles, tall, notes, columns, _bars(found, Look(**look)))


def _height(image: Pixels) -> int:
    """Return the height to draw an image at; a very wide one would be a sheet of gigabytes."""
    height, width = image.shape[:2]
    return max(1, min(_HEIGHT, height * _WIDEST_IMAGE // width))


def _names(found: Sequence[ExplanationData]) -> list[str]:
    """Return names that distinguish the explanations: their methods, their layers, or both."""
    columns = [[one.method for one in found], [one.layer for one in found]]
    different = [column for column in columns if len(set(column)) > 1] or columns[:1]
    return [", ".join(parts) for parts in zip(*different, strict=True)]


def _confidence(found: ClassMap) -> str:
    """Return a class's probability, or its score, as text."""
    if found.probability is None:
        return f"score {found.score:.3g}"
    return f"p = {found.probability:.3f}"


def _bars(found: Sequence[ExplanationData], look: Look) -> list[Bar]:
    """Make a colour bar for each kind of map that is drawn in colour."""
    if look.style == "mask":
        return []
    drawn = [one for one in found if "ok" in one.status]
    end = f"{drawn[0].peak:.2g}" if look.scale == "shared" and len(drawn) == 1 else "max"
    bars: list[Bar] = []
    for signed in sorted({one.signed for one in drawn}):
        if look.style == "contour":
            ticks = [(level, f"{level:.0%}") for level in LEVELS]
        else:
            ticks = [(1.0, end)]
        negative = [(-value, f"-{text}") for value, text in ticks] if signed else []
        bars.append(Bar(palette(look.colormap, signed), ((0.0, "0"), *ticks, *negative)))
    return bars
