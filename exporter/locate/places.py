"""This module shows whether the places of a layer stand where the input's places are.

A layer whose output is [N, h * w, C] or [N, h, w, C] need not keep the order of the image: Hiera
sorts its tokens by windows, and the queries of a detector are no places at all. A map laid out row
by row would look fine and mean nothing. So one part of the input after another is exchanged, a few
along each axis (see `exchange`), and what changes in the layer is compared with where its places
would be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..graph.emitter import Dim
from .arrangement import Arrangement

Array = npt.NDArray[Any]

# Correlation of what changes with nearness: places in order reach 0.35 (attention of random
# weights) up to 0.97; queries and sorted windows stay below 0.2, or below what few places give by
# chance.
_SHOWN = (0.3, 0.6)  # from where on places are shown: so many, or few, of them
_REFUTED = (0.2, 0.4)  # and up to where they are refuted
_ENOUGH = 8
# Changes that differ by less between places, in logarithms, say nothing of an axis: attention in a
# window as high as the grid mixes all rows.
_FAINT = 0.1
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
        partly: Whether an axis says nothing, since all its places see the whole input alike, and
            the others are shown.
    """

    arrangement: Arrangement
    agreement: float
    chance: float = 0
    places: int = 0
    axes: tuple[int, ...] = ()
    partly: bool = False

    @property
    def verdict(self) -> Literal["shown", "doubtful", "refuted"]:
        """What to conclude."""
        if _is_shown(self.agreement, self.chance):
            return "shown"
        low = self.agreement < np.clip(2 * self.chance, *_REFUTED)
        return "refuted" if low and not self.partly else "doubtful"

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
            told: list[_Told] = []
            for axis, place in zip(axes, wide, strict=True):
                table = np.stack(tables[axis]).reshape(len(tables[axis]), -1)
                table = table[:, start : start + number]
                told.append(_correlation(table, (coordinates[place] + 0.5) / grid[place]))
            if all(math.isnan(one.agreement) for one in told):
                continue
            # An axis along which nothing differs agrees with nothing.
            worst, chance, _ = min(
                one._replace(agreement=0.0) if math.isnan(one.agreement) else one for one in told
            )
            partly = len(grid) == len(places) and _is_partly_shown(told)
            if (partly, worst) > (found.partly, found.agreement) or math.isnan(found.agreement):
                found = Finding(arrangement, worst, chance, number, axes, partly)
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
                one.partly,
                len(one.arrangement.grid) if one.verdict == "shown" else 0,
                round(one.agreement, 1),
            ),
            default=None,
        )


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


def _is_shown(agreement: float, chance: float) -> bool:
    return bool(agreement >= np.clip(2.5 * chance, *_SHOWN))


class _Told(NamedTuple):
    """What the changes tell of one axis.

    Attributes:
        agreement: Their correlation with nearness; NaN if nothing differs.
        chance: Its standard deviation over all orders of the places.
        along: How much they differ along the axis: the standard deviation of their logarithms.
    """

    agreement: float
    chance: float = 0.0
    along: float = 0.0


def _is_partly_shown(told: Sequence[_Told]) -> bool:
    """Whether the axes that say something are shown, and not all do."""
    loud = [one for one in told if one.along >= _FAINT]
    shown = all(_is_shown(one.agreement, one.chance) for one in loud)
    return 0 < len(loud) < len(told) and shown


def _correlation(table: Array, coordinates: Array) -> _Told:
    """How the changes, [parts, places], go with the nearness of parts and places, from -1 to 1.

    Both are freed of what all parts, or all places, have in common: an exchange changes some
    channels everywhere, and a class token depends on everything.
    """
    if not table.max(initial=0) > 0:
        return _Told(math.nan)
    centres = (np.arange(len(table)) + 0.5) / len(table)
    changes = _centred(np.log(table + _TINY * table.max()))
    nearness = _centred(-np.abs(centres[:, None] - coordinates[None]))
    size = float(np.sqrt((changes**2).sum() * (nearness**2).sum()))
    if size < _TINY:
        return _Told(math.nan)
    spread = ((changes @ changes.T) * (nearness @ nearness.T)).sum() / (table.shape[1] - 1)
    _, groups = np.unique(coordinates, return_inverse=True)
    along = [np.bincount(groups, row) / np.bincount(groups) for row in changes]
    told = float((changes * nearness).sum()) / size
    return _Told(told, float(np.sqrt(max(spread, 0))) / size, float(np.std(along)))


def _centred(table: Array) -> Array:
    return table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
