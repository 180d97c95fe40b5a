"""Raw maps as pictures: normalised, laid over the picture where the model saw it, coloured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import RenderError
from .images import Picture
from .preprocess import Placement
from .writing import drafted

Heatmap: TypeAlias = NDArray[np.float32]
Status: TypeAlias = Literal["ok", "zero", "nonfinite"]

COLORMAPS: dict[str, int] = {
    name.removeprefix("COLORMAP_").lower(): getattr(cv2, name)
    for name in dir(cv2)
    if name.startswith("COLORMAP_")
}


def map_status(raw: NDArray[Any]) -> Status:
    """Whether a raw map can be drawn (``ok``), says nothing (``zero``) or is broken."""
    if not np.isfinite(raw).all():
        return "nonfinite"
    return "ok" if (raw > 0).any() else "zero"


def normalise(raw: NDArray[Any]) -> Heatmap:
    """Divide a raw map [h, w] by its own maximum: values are relative within one class.

    A map without a positive value stays zero, it is not stretched; a nonfinite one becomes zero.
    """
    if map_status(raw) != "ok":
        return np.zeros_like(raw, np.float32)
    positive = np.maximum(raw, 0)
    return (positive / positive.max()).astype(np.float32)


def project(heatmap: Heatmap, placement: Placement) -> Heatmap:
    """Lay a map [h, w] of the model's input over the picture: [H, W], the inverse of the crop.

    Each cell covers an equal share of the model's input. Values between cell centres are bilinear,
    beyond the outermost centres constant, and exactly 0 where the model did not see the picture.
    """
    axes = zip(placement.picture, placement.resized, placement.offset, placement.size, strict=True)
    rows, columns = (_interpolation(n, *axis) for n, axis in zip(heatmap.shape, axes, strict=True))
    # Weights that sum to 1 in float32 can overshoot by one rounding.
    return np.minimum(rows @ heatmap @ columns.T, np.float32(1))


def overlay(picture: Picture, heatmap: Heatmap, alpha: float, colormap: str) -> Picture:
    """Blend a coloured heatmap [H, W] in [0, 1] into an RGB picture [H, W, 3].

    The colour's share grows with the heatmap up to ``alpha``: where there is no evidence the
    picture stays as it is.

    Raises:
        RenderError: ``alpha`` is outside 0 to 1, or OpenCV has no such ``colormap``.
    """
    if not 0 <= alpha <= 1:
        raise RenderError(f"alpha={alpha} is out of range; give 0 (picture only) to 1")
    share = np.float32(alpha) * np.sqrt(heatmap)[:, :, None]
    blended = picture + share * (colour(heatmap, colormap).astype(np.float32) - picture)
    return np.rint(blended).astype(np.uint8)


def colour(heatmap: Heatmap, colormap: str) -> Picture:
    """Colour a heatmap [H, W] in [0, 1]: RGB uint8 [H, W, 3].

    Raises:
        RenderError: OpenCV has no such colormap.
    """
    if colormap not in COLORMAPS:
        raise RenderError(f"unknown colormap '{colormap}'; choose from {', '.join(COLORMAPS)}")
    levels = np.rint(heatmap * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(levels, COLORMAPS[colormap])
    return cast("Picture", cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB))


def panel(pictures: Sequence[Picture], titles: Sequence[str], height: int = 320) -> Picture:
    """Set pictures side by side at one height, each under its title (drawn in ASCII).

    Raises:
        RenderError: There are no pictures, or not one title for each.
    """
    if not pictures or len(pictures) != len(titles):
        raise RenderError(f"{len(pictures)} pictures and {len(titles)} titles; give one for each")
    gap, strip = 8, 28
    columns: list[Picture] = []
    for picture, title in zip(pictures, titles, strict=True):
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        shrinks = height < picture.shape[0]
        scaled = cv2.resize(
            picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        column = np.full((strip + height + gap, width + 2 * gap, 3), 255, np.uint8)
        column[strip : strip + height, gap : gap + width] = scaled
        _caption(column, title, gap, strip)
        columns.append(column)
    return np.concatenate(columns, axis=1)


def write_image(path: str | Path, picture: Picture) -> Path:
    """Write an RGB uint8 picture whole or not at all; the suffix is the format, folders are made.

    Raises:
        RenderError: The suffix is no picture format, or the file cannot be written.
    """
    path = Path(path)
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error:
        done, data = False, np.empty(0, np.uint8)
    if not done:
        raise RenderError(f"{path}: '{path.suffix}' is no picture format; use .png or .jpg")
    with drafted(path, RenderError) as draft:
        draft.write_bytes(data.tobytes())
    return path


def _interpolation(cells: int, picture: int, resized: int, offset: int, size: int) -> Heatmap:
    """The matrix [picture, cells] that interpolates along one axis."""
    seen = (np.arange(picture) + 0.5) * resized / picture - offset
    position = np.clip(seen * cells / size - 0.5, 0, cells - 1)
    low = position.astype(np.intp)
    high = np.minimum(low + 1, cells - 1)
    matrix = np.zeros((picture, cells), np.float32)
    pixel = np.arange(picture)
    matrix[pixel, low] = low + 1 - position
    matrix[pixel, high] += position - low
    matrix[(seen < 0) | (seen >= size)] = 0
    return matrix


def _caption(column: Picture, title: str, left: int, strip: int) -> None:
    """Draw the title at the top of a panel's column, shrunk until it fits."""
    text = title.encode("ascii", "replace").decode()
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(0.6, (column.shape[1] - 2 * left) / max(width, 1))
    cv2.putText(
        column, text, (left, strip - 9), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA
    )
