"""`summarise` makes of the table's rows what the candidates are worth over all photographs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..candidates import ROWS
from ..measure import MEASURES
from .statistics import holm, interval, paired

Key: TypeAlias = tuple[str, str | None]
Values = NDArray[np.float64]

SURE = 0.05
"""A difference with a smaller p-value counts."""


@dataclass(frozen=True)
class Standing:
    """One candidate by one measure.

    Attributes:
        method: The method's id, or the name of a row to beat.
        layer: Its layer; None: it has none.
        mean: Over the photographs; None without any.
        low: Lower end of the mean's 95 % interval; None for fewer than two photographs.
        high: Its upper end.
        photographs: How many have a value.
        below: The rows to beat that it does not beat: its mean is not better or, of enough
            photographs for a test, the difference may be chance.
    """

    method: str
    layer: str | None
    mean: float | None
    low: float | None
    high: float | None
    photographs: int
    below: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Pair:
    """The difference between two methods by one measure.

    Attributes:
        first: Name of a candidate.
        second: Name of another.
        difference: Mean of the first minus mean of the second, over photographs that have both.
        p: The p-value, corrected for the number of pairs; None for too few photographs.
    """

    first: str
    second: str
    difference: float
    p: float | None


@dataclass(frozen=True)
class Summary:
    """The scores of all candidates.

    Attributes:
        standings: By measure, in the order of candidates.
        pairs: By measure: each two methods.
        curves: By measure and candidate: the mean curve, if the measure has curves.
        empty: By candidate: the share of maps without any evidence.
        photographs: Number of photographs that were scored.
        failed: Number of those that could not be.
    """

    standings: dict[str, list[Standing]]
    pairs: dict[str, list[Pair]]
    curves: dict[str, dict[str, list[float]]]
    empty: dict[str, float]
    photographs: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

    def mean(self, measure: str, name: str) -> float | None:
        """Return the mean of a candidate by its name."""
        return next(
            one.mean for one in self.standings[measure] if name_of(one.method, one.layer) == name
        )


def name_of(method: str, layer: str | None) -> str:
    """Return a candidate's name in texts: ``gradcam at features.8``."""
    return method if layer is None else f"{method} at {layer}"


def summarise(rows: Iterable[Mapping[str, Any]]) -> Summary:
    """Summarise rows of the table: means, intervals, paired tests, mean curves."""
    rows = list(rows)
    good = [row for row in rows if row["status"] == "ok" and row["items"]]
    keys = list(dict.fromkeys(key for row in good for key in _keys(row)))
    names = [name_of(*key) for key in keys]
    measures = {name for row in good for item in row["items"] for one in item["maps"]
                for name in one["scores"]}  # fmt: skip
    standings: dict[str, list[Standing]] = {}
    pairs: dict[str, list[Pair]] = {}
    for measure in (name for name in MEASURES if name in measures):
        table = np.array([[_mean_of(row, key, measure) for row in good] for key in keys])
        standings[measure] = _standings(measure, keys, table)
        methods = [place for place, key in enumerate(keys) if key[0] not in ROWS]
        pairs[measure] = _pairs([names[place] for place in methods], table[methods])
    return Summary(
        standings, pairs, _curves(good, keys), _empty(good, keys), len(good),
        sum(row["status"] == "failed" for row in rows),
    )  # fmt: skip


def _keys(row: Mapping[str, Any]) -> list[Key]:
    return [(one["method"], one["layer"]) for item in row["items"] for one in item["maps"]]


def _maps(row: Mapping[str, Any], key: Key) -> list[Mapping[str, Any]]:
    return [
        one for item in row["items"] for one in item["maps"]
        if (one["method"], one["layer"]) == key
    ]  # fmt: skip


def _mean_of(row: Mapping[str, Any], key: Key, measure: str) -> float:
    """A photograph's number: the mean over its classes; NaN if there is none."""
    found = [one["scores"].get(measure) for one in _maps(row, key)]
    values = [value for value in found if value is not None]
    return float(np.mean(values)) if values else float("nan")


def _standings(measure: str, keys: Sequence[Key], table: Values) -> list[Standing]:
    found: list[Standing] = []
    rows = {key[0]: table[place] for place, key in enumerate(keys) if key[0] in ROWS}
    for (method, layer), values in zip(keys, table, strict=True):
        own = values[np.isfinite(values)]
        low, high = interval(own) or (None, None)
        below = [] if method in ROWS else [
            name for name, other in rows.items() if not _beats(measure, values, other)
        ]  # fmt: skip
        found.append(
            Standing(
                method, layer, float(own.mean()) if len(own) else None, low, high, len(own), below
            )
        )  # fmt: skip
    return found


def _beats(measure: str, values: Values, other: Values) -> bool:
    """Whether values are better than another candidate's, and not by chance."""
    both = np.isfinite(values) & np.isfinite(other)
    if not both.any():
        return False
    better = MEASURES[measure].sign * (values[both].mean() - other[both].mean()) > 0
    p = paired(values[both], other[both])
    return bool(better) and (p is None or p < SURE)


def _pairs(names: Sequence[str], table: Values) -> list[Pair]:
    found: list[Pair] = []
    for one, other in combinations(range(len(names)), 2):
        both = np.isfinite(table[one]) & np.isfinite(table[other])
        if both.any():
            first, second = table[one][both], table[other][both]
            difference = float(first.mean() - second.mean())
            found.append(Pair(names[one], names[other], difference, paired(first, second)))
    sure = holm([pair.p for pair in found if pair.p is not None])
    fixed = iter(sure)
    return [
        pair if pair.p is None else Pair(pair.first, pair.second, pair.difference, next(fixed))
        for pair in found
    ]


def _curves(rows: Sequence[Mapping[str, Any]], keys: Sequence[Key]) -> dict[str, Any]:
    found: dict[str, dict[str, list[float]]] = {}
    for key in keys:
        by_measure: dict[str, list[Values]] = {}
        for row in rows:
            own: dict[str, list[Values]] = {}
            for one in _maps(row, key):
                for measure, curve in one["curves"].items():
                    if None not in curve:
                        own.setdefault(measure, []).append(np.array(curve))
            for measure, several in own.items():
                by_measure.setdefault(measure, []).append(np.mean(several, axis=0))
        for measure, means in by_measure.items():
            mean = np.mean(means, axis=0)
            found.setdefault(measure, {})[name_of(*key)] = [float(f"{v:.4g}") for v in mean]
    return {measure: found[measure] for measure in MEASURES if measure in found}


def _empty(rows: Sequence[Mapping[str, Any]], keys: Sequence[Key]) -> dict[str, float]:
    """The share of each candidate's maps that show nothing."""
    found: dict[str, float] = {}
    for key in keys:
        states = [one["status"] for row in rows for one in _maps(row, key)]
        found[name_of(*key)] = sum(state != "ok" for state in states) / max(len(states), 1)
    return found
