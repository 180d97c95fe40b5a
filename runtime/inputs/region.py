"""The part of a picture that a score with positions is summed over, as the artifact takes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .images import read_image
from .preprocess import Placement, crop, nearest

Region: TypeAlias = str | Path | NDArray[Any]
Weights: TypeAlias = NDArray[np.float32]


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a picture file as a mask [H, W]: every pixel that is not black, nor transparent.

    Raises:
        ImageError: The file is missing or no picture.
    """
    return read_image(path, ground=0).max(axis=2) > 0


def box_mask(size: tuple[int, int], box: Sequence[int]) -> NDArray[np.bool_]:
    """The mask [H, W] of a box ``(x0, y0, x1, y1)`` in pixels; its right and lower ends are open.

    Raises:
        InputError: The box is empty or reaches out of the picture.
    """
    height, width = size
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InputError(
            f"box {x0},{y0},{x1},{y1} does not lie in the picture; give x0,y0,x1,y1 with "
            f"0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
        )
    mask = np.zeros(size, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def mask_of(
    picture: str | Path, region: str | Path | None, box: Sequence[int] | None
) -> NDArray[np.bool_] | None:
    """The mask that a mask's file and a box describe together: where both are, their overlap.

    Raises:
        ImageError: A file is missing or no picture.
        InputError: The box does not lie in the picture, or the mask has another size than it.
    """
    mask = None if region is None else read_mask(region)
    if box is None:
        return mask
    height, width = read_image(picture).shape[:2]
    inside = box_mask((height, width), box)
    if mask is not None and mask.shape != inside.shape:
        raise InputError(
            f"{region} has {mask.shape[1]} x {mask.shape[0]} pixels, the picture {width} x "
            f"{height}; a box can only cut a mask of the picture's size"
        )
    return inside if mask is None else mask & inside


def as_weights(region: object, placement: Placement, positions: tuple[int, ...]) -> Weights:
    """Bring a region to the positions of the model's output, float32 [*positions].

    Args:
        region: A mask of the picture's size or of the output's, or its file. True or any number
            but 0 counts once; floats are weights.
        placement: Where the model's input lies in the picture.
        positions: The output's extents behind the class axis.

    Raises:
        ImageError: The file is missing or no picture.
        InputError: The mask has another shape or type, or nothing of it is left.
    """
    mask = read_mask(region) if isinstance(region, (str, Path)) else region
    if not isinstance(mask, np.ndarray) or mask.dtype.kind not in "biuf":
        raise InputError("the region is no mask; pass an array of booleans or numbers, or a path")
    mask = cast("NDArray[Any]", mask)
    weights = (mask if mask.dtype.kind == "f" else mask != 0).astype(np.float32)
    if not np.isfinite(weights).all():
        raise InputError("the region's weights are not finite; pass finite numbers")
    if not weights.any():
        raise InputError("the region is empty; mark the pixels to explain with True or 1")
    if len(positions) == 2 and mask.shape == placement.picture:
        weights = _seen(weights, placement, positions)
        if not weights.any():
            raise InputError(
                "nothing of the region is left at the model's resolution: it lies in what the "
                "crop cuts away, or is too small; pass a larger one"
            )
        return weights
    if mask.shape != positions:
        height, width = placement.picture
        raise InputError(
            f"the region has shape {list(mask.shape)}; pass {[height, width]}, the picture's, or "
            f"{list(positions)}, the output's"
        )
    return weights


def check_region(
    region: NDArray[Any], rows: Collection[int], classes: int, positions: Sequence[int | None]
) -> None:
    """Raise InputError unless ``region`` is numbers [N or 1, K or 1, *positions].

    Args:
        region: What the caller gave.
        rows: Numbers of rows that fit, N and 1.
        classes: K.
        positions: The output's extents behind the class axis; None: dynamic.
    """
    fits = region.dtype.kind in "biuf" and region.ndim == 2 + len(positions)
    if fits:
        wanted = zip(region.shape[2:], positions, strict=True)
        fits = len(region) in rows and region.shape[1] in (1, classes)
        fits = fits and all(extent is None or extent == have for have, extent in wanted)
    if not fits:
        shape = ", ".join("any" if extent is None else str(extent) for extent in positions)
        raise InputError(
            f"the region is {region.dtype} {list(region.shape)}; pass numbers "
            f"[N or 1, K or 1, {shape}], here with K = {classes}"
        )


def per_picture(region: object, count: int) -> list[Any]:
    """One region for each of ``count`` pictures: the same one, or the entries of a list.

    Raises:
        InputError: The list has another length.
    """
    if not isinstance(region, (list, tuple)):
        return [region] * count
    regions = cast("Sequence[object]", region)
    if len(regions) != count:
        raise InputError(
            f"{len(regions)} regions for {count} pictures; pass one for all, or one for each"
        )
    return list(regions)


def _seen(weights: Weights, placement: Placement, positions: tuple[int, ...]) -> Weights:
    """A picture's mask as the model's input shows it, at the positions of its output."""
    height, width = positions
    planes = crop(nearest(weights[None], placement.resized), placement)
    return nearest(planes, (height, width))[0]
