"""These functions compute quartiles and ratios of interleaved measurements."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from graftcam.runtime.tools.bench.timing import interleave, quartiles

Run = Callable[[], Any]
Times = Mapping[str, Sequence[float]]
Spread = list[float]  # lower quartile, median, upper quartile
Floats = npt.NDArray[np.float64]

_PAUSE = 0.02  # seconds before each run: PyTorch's threads spin for a while after their work


def measure(runs: Mapping[str, Run], rounds: int, warm_ups: int = 2) -> Times:
    """Milliseconds of each run in each round; all runs of a round follow each other."""
    for _ in range(warm_ups):
        for run in runs.values():
            run()
    return interleave(runs, rounds, pause=_PAUSE)


def gather(runs: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> dict[str, Times]:
    """As `measure`, of runs that measure themselves: what they return, by quantity, then by run.

    One round before the first warms the disk's cache and does not count.
    """
    order, shuffle = list(runs), random.Random(0).shuffle
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in runs}
    for _ in range(1 + rounds):
        shuffle(order)
        for name in order:
            found[name].append(runs[name]())
    return {
        quantity: {name: [one[quantity] for one in rows[1:]] for name, rows in found.items()}
        for quantity in found[order[0]][0]
    }


def spread(values: Sequence[float] | Floats, digits: int = 3) -> Spread:
    """Quartiles of figures by round."""
    return [round(value, digits) for value in quartiles(list(values))]


def spreads(times: Times, digits: int = 2) -> dict[str, Spread]:
    """Quartiles by name."""
    return {name: spread(values, digits) for name, values in times.items()}


def ratio(times: Times, name: str, base: str) -> Spread:
    """Quartiles of the rounds' ratios of ``name`` to ``base``: what slows a whole round cancels."""
    return spread(np.divide(times[name], times[base]))


def ratios(times: Times, base: str) -> dict[str, Spread]:
    """The `ratio` of each other name to ``base``."""
    return {name: ratio(times, name, base) for name in times if name != base}


def extra(times: Times, name: str, base: str) -> Floats:
    """By round, how much longer ``name`` takes than ``base``."""
    return np.subtract(times[name], times[base])
