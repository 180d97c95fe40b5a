"""`fuse` combines the maps of several layers into one, `sum_levels` those of a detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..output.render import interpolation, resample
from ..output.render.maps import ROUNDING

Maps: TypeAlias = NDArray[np.float32]
Fuse: TypeAlias = Literal["mean", "max", "product", "refine"]

FUSES: dict[Fuse, Callable[..., Maps]] = {
    "mean": np.mean, "max": np.max, "product": np.prod, "refine": np.prod,
}  # fmt: skip


def fuse(maps: Sequence[Maps], how: Fuse, signed: bool = False) -> Maps:
    """Fuse the maps of several layers; the maps of a single layer are returned unchanged.

    Each map is divided by its own maximum, since layers differ in scale, and resized to the finest
    grid. The fused values are therefore relative, 0 to 1. A map of zeros counts as zeros; a map
    that is not finite makes the fused one NaN. Signed maps are divided by their largest magnitude,
    and fused separately for positive and negative values: the result is the difference.

    Args:
        maps: Raw maps, float32 [N, K, *cells], one for each layer; the cells may differ.
        how: ``mean``: where layers see evidence on average; ``max``: where any layer does;
            ``product``: where all layers do; ``refine``: where all layers see more evidence than
            where they see least, the product of maps that are stretched from 0 to 1 on the finest
            grid (RefineCAM, Domeniconi et al. 2026).
        signed: Whether negative values are evidence; else they count as 0. Of signed maps
            ``refine`` is ``product``: what they are measured from is 0.

    Returns:
        float32 [N, K, *cells] with the largest number of cells along each axis.

    Raises:
        InputError: The maps differ in their number of axes.
    """
    if len(maps) == 1:
        return maps[0]
    if len({one.ndim for one in maps}) > 1:
        shapes = ", ".join(str(list(one.shape[2:])) for one in maps)
        raise InputError(f"the layers' maps have shapes {shapes}; fuse layers of one kind")
    grid = [max(extents) for extents in zip(*(one.shape[2:] for one in maps), strict=True)]
    layers = np.stack([resample(_relative(one, signed), grid) for one in maps])
    if how == "refine" and not signed:
        layers = _stretched(layers)
    combine = FUSES[how]
    return combine(layers.clip(min=0), axis=0) - combine((-layers).clip(min=0), axis=0)


def _relative(maps: Maps, signed: bool) -> Maps:
    """Each map divided by its own largest value, signed ones by their largest magnitude."""
    values = maps if signed else np.maximum(maps, 0)
    largest = np.abs(values).max(axis=tuple(range(2, values.ndim)), keepdims=True)
    with np.errstate(invalid="ignore"):  # inf / inf gives NaN, which the map's status reports
        return np.divide(values, largest, out=np.zeros_like(values), where=largest != 0)


def _stretched(layers: Maps) -> Maps:
    """Maps with values from 0 to 1, [layers, N, K, *cells], less their smallest value.

    The largest becomes 1 again. A map that is the same everywhere but for rounding stays as it is:
    it tells no place from another, and refines nothing.
    """
    space = tuple(range(3, layers.ndim))
    lowest = layers.min(axis=space, keepdims=True)
    spread = layers.max(axis=space, keepdims=True) - lowest
    constant = spread <= ROUNDING
    return np.where(constant, layers, (layers - lowest) / np.where(constant, 1, spread))


def sum_levels(maps: Sequence[Maps]) -> Maps:
    """Sum the raw maps of a detector's levels on the finest grid, as its artifact does.

    Levels are parts of one gradient: their values can be compared, and none is scaled.

    Args:
        maps: float32 [N, K, h, w], one for each level; the cells may differ.

    Returns:
        float32 [N, K, h, w] with the largest number of cells along each axis.

    Raises:
        InputError: The maps have other axes than two.
    """
    if len(maps) == 1:
        return maps[0]
    if any(one.ndim != 4 for one in maps):
        shapes = ", ".join(str(list(one.shape[2:])) for one in maps)
        raise InputError(f"the levels' maps have shapes {shapes}; choose one of them by layer=")
    height, width = (max(one.shape[axis] for one in maps) for axis in (2, 3))
    summed = np.zeros((*maps[0].shape[:2], height, width), np.float32)
    for one in maps:
        rows, columns = interpolation(one.shape[2], height), interpolation(one.shape[3], width)
        summed += rows @ one @ columns.T
    return summed
