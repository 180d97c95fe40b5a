"""Maps of several layers as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..inputs.preprocess import Placement
from ..output.render import continued

Maps: TypeAlias = NDArray[np.float32]
Fuse: TypeAlias = Literal["mean", "max", "product"]

FUSES: dict[Fuse, Callable[[Maps], Maps]] = {
    "mean": lambda stack: stack.mean(axis=0),
    "max": lambda stack: stack.max(axis=0),
    "product": lambda stack: stack.prod(axis=0),
}


def fuse(maps: Sequence[Maps], how: Fuse, signed: bool = False) -> Maps:
    """Fuse the maps of several layers; a single layer's stay as they are.

    Each map is divided by its own maximum, since layers differ in scale, and brought to the finest
    grid; the fused values are therefore relative, 0 to 1. A layer's map of zeros counts as zeros,
    and one that is not finite makes the fused one NaN. Of signed maps the evidence for and against
    a class is fused apart, and the second subtracted from the first; both are divided by the
    largest magnitude.

    Args:
        maps: Raw maps, float32 [N, K, h, w], one for each layer; h and w may differ.
        how: ``mean``: where layers see evidence on average; ``max``: where any does; ``product``:
            where all do.
        signed: Whether negative values are evidence; else they count as 0.

    Returns:
        float32 [N, K, h, w] with the largest h and the largest w.
    """
    if len(maps) == 1:
        return maps[0]
    grid = (max(one.shape[2] for one in maps), max(one.shape[3] for one in maps))
    whole = Placement(image=grid, resized=grid, offset=(0, 0), size=grid)
    layers = np.stack([continued(_relative(one, signed), whole) for one in maps])
    combine = FUSES[how]
    return combine(layers.clip(min=0)) - combine((-layers).clip(min=0))


def _relative(maps: Maps, signed: bool) -> Maps:
    """Each map divided by its own largest value, signed ones by their largest magnitude."""
    values = maps if signed else np.maximum(maps, 0)
    largest = np.abs(values).max(axis=(2, 3), keepdims=True)
    with np.errstate(invalid="ignore"):  # infinite by infinite: the NaN is reported by status
        return np.divide(values, largest, out=np.zeros_like(values), where=largest != 0)
