"""`fuse` combines the maps of several layers into one, `sum_levels` those of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..methods.fusion import Fuse, fuse_maps
from ..methods.numpy_operations import NUMPY
from ..output.render import interpolation, resample
from ..spec import Layer

Maps: TypeAlias = NDArray[np.float32]


def fuse(maps: Sequence[Maps], how: Fuse, signed: bool = False) -> Maps:
    """Fuse the maps of several layers; the maps of a single layer are returned unchanged.

    The fused values are relative, 0 to 1. A map that is not finite makes the fused one NaN.

    Args:
        maps: Raw maps, float32 [N, K, *cells], one for each layer; the cells may differ.
        how: See `methods.fusion.fuse_maps`.
        signed: Whether negative values are evidence; else they count as 0.

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
    values = [one.astype(np.float32, copy=False) for one in maps]
    resizes, axes = [partial(resample, extents=grid)] * len(maps), range(2, maps[0].ndim)
    with np.errstate(invalid="ignore"):  # inf / inf gives NaN, which the map's status reports
        return fuse_maps(NUMPY, values, resizes, how, axes, signed=signed)


def check_fusing(layers: Sequence[Layer]) -> None:
    """Raise InputError if the grids of layers run along the input's axes in different orders."""
    if len({tuple(one.input_axes or ()) for one in layers}) > 1:
        names = ", ".join(one.name for one in layers)
        raise InputError(
            f"the maps of layers {names} run along the input's axes in different orders; fuse "
            "layers of one kind"
        )


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
