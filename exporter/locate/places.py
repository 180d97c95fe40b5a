"""This module shows whether the places of a layer stand where the input's places are.

A layer whose output is [N, h * w, C] or [N, h, w, C] need not keep the order of the image: Hiera
sorts its tokens by windows, and the queries of a detector are no places at all. A map laid out row
by row would look fine and mean nothing. So one part of the input after another is exchanged, a few
along each axis, and what changes in the layer is compared with where its places would be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..graph.emitter import Dim
from .arrangement import Arrangement

Array = npt.NDArray[Any]
# Runs the model on one input, and returns outputs of layers, each [N, ...], by name.
Run = Callable[[Array], Mapping[str, Array]]

_PARTS = 6  # of an axis that are exchanged, one at a time
_COLOURS = 4  # axes of at most so many entries, first or last, are channels
# Correlation of what changes with nearness: places in order reach 0.35 (attention of random
# weights) up to 0.97; queries and sorted windows stay below 0.2, or below what few places give by
# chance.
_SHOWN = (0.3, 0.6)  # from where on places are shown: so many, or few, of them
_REFUTED = (0.2, 0.4)  # and up to where they are refuted
_ENOUGH = 8
_TINY = 1e-12


@dataclass(frozen=True)
class Finding:
    """What the changes show of a layout.

    Attributes:
        arrangement: The layout.
        agreement: Correlation of what changes with nearness, of the worst axis; NaN if nothing
            changes.
        chance: Standard deviation of that where places have no order.
        places: Number of places.
        axes: The input's axis for each axis of the grid that is longer than 1.
    """

    arrangement: Arrangement
    agreement: float
    chance: float = 0
    places: int = 0
    axes: tuple[int, ...] = ()

    @property
    def verdict(self) -> Literal["shown", "doubtful", "refuted"]:
        """What to conclude."""
        if self.agreement >= np.clip(2.5 * self.chance, *_SHOWN):
            return "shown"
        return "refuted" if self.agreement < np.clip(2 * self.chance, *_REFUTED) else "doubtful"

    @property
    def turned(self) -> Arrangement:
        """The layout, with the input's axes where the grid runs along them in another order."""
        whole = len(self.axes) == len(self.arrangement.grid)
        turned = self.verdict == "shown" and whole and list(self.axes) != sorted(self.axes)
        return replace(self.arrangement, input_axes=self.axes) if turned else self.arrangement

    @property
    def is_everywhere(self) -> bool:
        """Whether the places of a convolution, which are in order, all see the whole input.

        Of a few places nothing can be said.
        """
        return self.places >= _ENOUGH and self.agreement < _REFUTED[0]


@dataclass
class Dependence:
    """How much the places of a layer change with each part of the input.

    Attributes:
        first: Norm of the change over axis 1, [parts, *places], by axis of the input.
        last: The same over the last axis.
    """

    first: dict[int, list[Array]] = field(default_factory=dict[int, "list[Array]"])
    last: dict[int, list[Array]] = field(default_factory=dict[int, "list[Array]"])

    def add(self, axis: int, change: Array) -> None:
        """Add what the exchange of one part along an axis of the input changes, [*layer]."""
        self.first.setdefault(axis, []).append(np.linalg.norm(change, axis=0))
        self.last.setdefault(axis, []).append(np.linalg.norm(change, axis=-1))

    def agreement(self, arrangement: Arrangement) -> Finding:
        """How well a layout explains the changes."""
        tables = self.first if arrangement.layout == "channels_first" else self.last
        places = next(iter(tables.values()))[0].shape
        grid = _static(arrangement.grid, places, arrangement.prefix, arrangement.suffix)
        if grid is None:
            return Finding(arrangement, math.nan)
        number, start = math.prod(grid), arrangement.prefix
        coordinates = np.indices(grid).reshape(len(grid), -1)
        found = Finding(arrangement, math.nan)
        wide = [place for place, extent in enumerate(grid) if extent > 1]
        for axes in itertools.permutations(tables, len(wide)):
            told: list[tuple[float, float]] = []
            for axis, place in zip(axes, wide, strict=True):
                table = np.stack(tables[axis]).reshape(len(tables[axis]), -1)
                table = table[:, start : start + number]
                told.append(_correlation(table, (coordinates[place] + 0.5) / grid[place]))
            worst, chance = min(told, default=(math.nan, 0))
            if not math.isnan(worst) and not worst <= found.agreement:
                found = Finding(arrangement, worst, chance, number, axes)
        return found

    @property
    def is_constant(self) -> bool:
        """Whether nothing changes the layer."""
        return not any(part.any() for parts in self.first.values() for part in parts)

    def best(self, options: Sequence[Arrangement]) -> Finding | None:
        """The layout that explains the changes best; of those shown, the one of most axes."""
        found = [self.agreement(one) for one in options]
        told = [one for one in found if not math.isnan(one.agreement)]
        return max(
            told,
            key=lambda one: (
                one.verdict == "shown",
                len(one.arrangement.grid) if one.verdict == "shown" else 0,
                round(one.agreement, 1),
            ),
            default=None,
        )


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


def _static(
    grid: Sequence[Dim], places: tuple[int, ...], prefix: int, suffix: int
) -> tuple[int, ...] | None:
    """The grid in numbers, where the layer has so many places; None otherwise."""
    if len(grid) == len(places) and not prefix + suffix:
        return places
    known = tuple(side for side in grid if isinstance(side, int))
    if len(known) < len(grid) and len(grid) == 1:
        return (places[0] - prefix - suffix,)
    fits = len(known) == len(grid) and math.prod(known) + prefix + suffix == places[0]
    return known if fits and len(places) == 1 else None


def _correlation(table: Array, coordinates: Array) -> tuple[float, float]:
    """How the changes, [parts, places], go with the nearness of parts and places, from -1 to 1.

    Both are freed of what all parts, or all places, have in common: an exchange changes some
    channels everywhere, and a class token depends on everything.

    Returns:
        The correlation, and its standard deviation over all orders of the places.
    """
    if not table.max(initial=0) > 0:
        return math.nan, 0
    centres = (np.arange(len(table)) + 0.5) / len(table)
    changes = _centred(np.log(table + _TINY * table.max()))
    nearness = _centred(-np.abs(centres[:, None] - coordinates[None]))
    size = float(np.sqrt((changes**2).sum() * (nearness**2).sum()))
    if size < _TINY:
        return math.nan, 0
    spread = ((changes @ changes.T) * (nearness @ nearness.T)).sum() / (table.shape[1] - 1)
    return float((changes * nearness).sum()) / size, float(np.sqrt(max(spread, 0))) / size


def _centred(table: Array) -> Array:
    return table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
