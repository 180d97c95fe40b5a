"""A region weights the positions that a score is summed over."""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..limits import MAX_PIXELS
from ..session.session import fits, shown
from .image_files import read_image
from .preprocess import Placement, crop, nearest

Region: TypeAlias = str | Path | NDArray[Any]
Weights: TypeAlias = NDArray[np.float32]


def read_mask(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.bool_]:
    """Read an image file as a mask [H, W]: True for pixels that are not black or transparent.

    Args:
        path: The file.
        max_pixels: Number of pixels that it may have.

    Raises:
        ImageError: The file is missing, too large or not an image.
    """
    return read_image(path, 0, max_pixels).max(axis=2) > 0


def box_mask(size: tuple[int, int], box: Sequence[int]) -> NDArray[np.bool_]:
    """Return the mask [H, W] of a box ``(x0, y0, x1, y1)`` in pixels; x1 and y1 are exclusive.

    Raises:
        InputError: The box is empty or extends beyond the image.
    """
    height, width = size
    if len(box) != 4:
        raise InputError(f"box {list(box)} is no box; give four pixels x0, y0, x1, y1")
    x0, y0, x1, y1 = map(operator.index, box)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InputError(
            f"box {x0},{y0},{x1},{y1} is not inside the image; give x0,y0,x1,y1 with "
            f"0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
        )
    mask = np.zeros(size, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def cut(
    region: Region | None,
    box: Sequence[int] | None,
    size: tuple[int, int] | None,
    max_pixels: int = MAX_PIXELS,
) -> Region | None:
    """Return the region inside a box; the box itself if there is no region.

    Args:
        region: A mask [H, W] or its file.
        box: ``(x0, y0, x1, y1)`` in pixels; None: return the region unchanged.
        size: Height and width of the image; None: the input is no image.
        max_pixels: Number of pixels that the mask's file may have.

    Raises:
        ImageError: The mask's file is missing or not an image.
        InputError: The input is no image, the box extends beyond it, or the mask has another size.
    """
    if box is None:
        return region
    if size is None:
        raise InputError("a box is in pixels of an image, and the input is none; pass a region")
    inside = box_mask(size, box)
    if region is None:
        return inside
    mask = np.asarray(_loaded(region, max_pixels))
    if mask.shape != inside.shape:
        raise InputError(
            f"the region has shape {list(mask.shape)}, the image {list(size)}; a box can only crop "
            "a mask of the image's size"
        )
    return mask * inside


def as_weights(
    region: object,
    placement: Placement | None,
    positions: tuple[int, ...],
    max_pixels: int = MAX_PIXELS,
) -> Weights:
    """Convert a region to weights of the positions of the model's output, float32 [*positions].

    Args:
        region: A mask of the image's size or of the output's, or its file. True and integers
            other than 0 have weight 1; floats are weights.
        placement: The geometry between image and model's input; None: the input is no image.
        positions: The output's extents after the class axis.
        max_pixels: Number of pixels that the mask's file may have.

    Raises:
        ImageError: The file is missing, too large or not an image.
        InputError: The mask has another shape or type, or is empty at the output's resolution.
    """
    mask = _loaded(region, max_pixels)
    if not isinstance(mask, np.ndarray) or mask.dtype.kind not in "biuf":
        raise InputError(
            "the region is not a mask; pass an array of booleans or numbers, or a path"
        )
    mask = cast("NDArray[Any]", mask)
    weights = (mask if mask.dtype.kind == "f" else mask != 0).astype(np.float32)
    if not np.isfinite(weights).all():
        raise InputError("the region's weights are not finite; pass finite numbers")
    if not weights.any():
        raise InputError("the region is empty; mark the pixels to explain with True or 1")
    if placement is not None and len(positions) == 2 and mask.shape == placement.image:
        # As the model sees the image, at the positions of its output.
        planes = crop(nearest(weights[None], placement.resized), placement)
        weights = nearest(planes, (positions[0], positions[1]))[0]
        if not weights.any():
            raise InputError(
                "nothing of the region is left at the model's resolution: it is outside the "
                "centre crop, or too small; pass a larger one"
            )
        return weights
    if mask.shape != positions:
        image = "" if placement is None else f"{list(placement.image)}, the image's, or "
        raise InputError(
            f"the region has shape {list(mask.shape)}; pass {image}{list(positions)}, the output's"
        )
    return weights


def _loaded(region: object, max_pixels: int) -> object:
    """Return a mask, read from its file if it is a path."""
    return read_mask(region, max_pixels) if isinstance(region, (str, Path)) else region


def check_region(
    region: NDArray[Any], rows: Collection[int], classes: int, positions: Sequence[int | None]
) -> None:
    """Raise InputError unless ``region`` is numbers [N or 1, K or 1, *positions].

    Args:
        region: The caller's array.
        rows: Valid numbers of rows, N and 1.
        classes: K.
        positions: The output's extents after the class axis; None: dynamic.
    """
    right = region.dtype.kind in "biuf" and fits(region.shape, (None, None, *positions))
    if not (right and len(region) in rows and region.shape[1] in (1, classes)):
        raise InputError(
            f"the region is {region.dtype} {list(region.shape)}; pass numbers "
            f"[N or 1, K or 1, {shown(positions)}], here with K = {classes}"
        )


def per_image(region: object, count: int) -> list[Any]:
    """Return one region for each of ``count`` images: the same one, or the entries of a list.

    Raises:
        InputError: The list has another length.
    """
    if not isinstance(region, (list, tuple)):
        return [region] * count
    regions = cast("Sequence[object]", region)
    if len(regions) != count:
        raise InputError(
            f"{len(regions)} regions for {count} images; pass one for all, or one for each"
        )
    return list(regions)
