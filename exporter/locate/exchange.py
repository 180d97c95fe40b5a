"""This module exchanges parts of an input, and collects what changes in layers; see `places`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .places import Array, Dependence

# Runs the model on one input, and returns outputs of layers, each [N, ...], by name.
Run = Callable[[Array], Mapping[str, Array]]

_PARTS = 6  # of an axis that are exchanged, one at a time
_COLOURS = 4  # axes of at most so many entries, first or last, are channels


def measure(run: Run, image: Array, generator: np.random.Generator) -> dict[str, Dependence]:
    """Exchange the parts of an input one by one, and collect what changes in the layers.

    Args:
        run: Runs the model.
        image: The input; rows after the first are ignored in the results.
        generator: Draws what the parts are exchanged for.
    """
    before = run(image)
    found = {name: Dependence() for name in before}
    for axis in _axes(image.shape):
        for bounds in _parts(image.shape[axis]):
            place = (slice(None),) * axis + (slice(*bounds),)
            changed = image.copy()
            changed[place] = _other(image[place], generator)
            for name, values in run(changed).items():
                change = values[0].astype(np.float64) - before[name][0]
                found[name].add(axis, np.where(np.isfinite(change), change, 0))
    return found


def _axes(shape: Sequence[int]) -> list[int]:
    """The input's axes that may hold places: all but the batch and an image's channels."""
    last = len(shape) - 1
    channels = {1} if len(shape) > 3 and shape[1] <= _COLOURS else set[int]()
    if len(shape) > 3 and not channels and shape[last] <= _COLOURS:
        channels = {last}
    if len(shape) > 4 and not channels and shape[2] <= _COLOURS:
        channels = {2}  # a clip or a bag of images, [N, T, C, H, W]
    return [axis for axis in range(1, len(shape)) if shape[axis] > 1 and axis not in channels]


def _parts(extent: int) -> list[tuple[int, int]]:
    count = min(_PARTS, extent)
    edges = [round(part * extent / count) for part in range(count + 1)]
    return list(itertools.pairwise(edges))


def _other(part: Array, generator: np.random.Generator) -> Array:
    """Noise like a part of the input; of integers, others of those that occur, or 0 and 1."""
    if np.issubdtype(part.dtype, np.floating):
        return generator.standard_normal(part.shape).astype(part.dtype)
    if part.dtype == bool:
        return ~part
    known = np.union1d(np.unique(part), [0, 1]).astype(part.dtype)
    step = generator.integers(1, len(known), size=part.shape)
    return known[(np.searchsorted(known, part) + step) % len(known)]
