"""`pick` advises a method and layer, and `below` says which demands are not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....errors import InputError
from ....inputs.selection import check_name
from ..candidates import ROWS
from ..measure import MEASURES
from .summary import SURE, Summary, name_of

# Of these a high value says what kind of map it is, not that it is right.
_DESCRIPTIVE = ("sparseness",)


@dataclass(frozen=True)
class Pick:
    """The candidate that wins.

    Attributes:
        method: Its method.
        layer: Its layer; None: the method has none.
        rank: Its mean rank over the measures, 1 is best.
        measures: The measures that were counted.
        wins: Those in which it is the best of all methods.
        alike: Other candidates that are not surely worse in any measure.
        below: The rows that it does not beat, by measure.
    """

    method: str
    layer: str | None
    rank: float
    measures: list[str]
    wins: list[str]
    alike: list[str]
    below: dict[str, list[str]]

    @property
    def name(self) -> str:
        """Such as ``layercam at features.8``."""
        return name_of(self.method, self.layer)

    def __str__(self) -> str:
        """The advice in a few sentences."""
        counted = len(self.measures)
        parts = [
            f"pick: {self.name}: mean rank {self.rank:.1f} over {counted} "
            f"measure{'s' * (counted != 1)}, the best in {', '.join(self.wins) or 'none of them'}"
        ]
        if self.alike:
            parts.append(f"not surely worse: {', '.join(self.alike)}")
        for row in ROWS:
            lost = [measure for measure, rows in self.below.items() if row in rows]
            if lost:
                parts.append(f"does not beat '{row}' in {', '.join(lost)}")
        return "; ".join(parts)


def pick(summary: Summary) -> Pick | None:
    """Return the method and layer with the best mean rank; None without methods or numbers.

    Ranks are over the measures that say whether a map is right; equal means share a rank.
    """
    table: dict[str, list[float]] = {}
    for measure, standings in summary.standings.items():
        means = [one.mean for one in standings if one.method not in ROWS]
        known = [MEASURES[measure].sign * mean for mean in means if mean is not None]
        if measure not in _DESCRIPTIVE and known and len(known) == len(means):
            table[measure] = known
    if not table:
        return None
    measures, values = list(table), np.array(list(table.values()))
    ranks = 1 + (values[:, None, :] > values[:, :, None]).sum(axis=2)
    ranks = ranks + ((values[:, None, :] == values[:, :, None]).sum(axis=2) - 1) / 2
    means = ranks.mean(axis=0)
    best = int(means.argmin())
    own = [one for one in summary.standings[measures[0]] if one.method not in ROWS]
    names = [name_of(one.method, one.layer) for one in own]
    wins = [m for m, row in zip(measures, values, strict=True) if row[best] >= row.max()]
    below = {
        measure: standing.below
        for measure in measures
        for standing in summary.standings[measure]
        if name_of(standing.method, standing.layer) == names[best] and standing.below
    }
    alike = [
        name
        for name in names
        if name != names[best] and not _surely_worse(summary, measures, name, names[best])
    ]
    winner = own[best]
    return Pick(winner.method, winner.layer, float(means[best]), measures, wins, alike, below)


def _surely_worse(summary: Summary, measures: list[str], name: str, than: str) -> bool:
    for measure in measures:
        for pair in summary.pairs[measure]:
            if {pair.first, pair.second} == {name, than}:
                ahead = pair.difference if pair.first == than else -pair.difference
                if ahead * MEASURES[measure].sign > 0 and pair.p is not None and pair.p < SURE:
                    return True
    return False


def below(summary: Summary, demands: Mapping[str, float]) -> list[str]:
    """Say which methods are not at least as good as demanded.

    Args:
        summary: The scores.
        demands: By measure: the least mean; where lower is better, the largest.

    Raises:
        InputError: A measure is unknown or was not scored.
    """
    found: list[str] = []
    for measure, demand in demands.items():
        check_name("measure", measure, MEASURES)
        if measure not in summary.standings:
            raise InputError(
                f"'{measure}' was not scored; add --measure {measure}, or leave the demand out"
            )
        sign = MEASURES[measure].sign
        for one in summary.standings[measure]:
            if one.method in ROWS:
                continue
            name = name_of(one.method, one.layer)
            if one.mean is None:
                found.append(f"{measure} of {name} has no value")
            elif sign * (one.mean - demand) < 0:
                side = "below" if sign > 0 else "above"
                found.append(f"{measure} of {name} is {one.mean:.3f}, {side} {demand:g}")
    return found
