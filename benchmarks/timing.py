"""These functions compute quartiles and ratios of interleaved measurements."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from graftcam.runtime.tools.bench.timing import Run, interleave, quartiles, ratio

Times = Mapping[str, Sequence[float]]
Spread = list[float]  # lower quartile, median, upper quartile
Floats = npt.NDArray[np.float64]

__all__ = ["Run", "Spread", "Times", "extra", "gather", "measure", "ratios", "spread", "spreads"]

_WARM_UPS = 2
_PAUSE = 0.02  # seconds before each run: PyTorch's threads spin for a while after their work


def measure(runs: Mapping[str, Run], rounds: int, warm_ups: int = _WARM_UPS) -> Times:
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
    found: dict[str, dict[str, list[float]]] = {}
    for turn in range(1 + rounds):
        shuffle(order)
        for name in order:
            for quantity, value in runs[name]().items():
                values = found.setdefault(quantity, {run: [] for run in runs})[name]
                if turn:
                    values.append(value)
    return dict(found)


def spreads(times: Times, digits: int = 2) -> dict[str, Spread]:
    """Quartiles by name."""
    return {name: _rounded(quartiles(values), digits) for name, values in times.items()}


def spread(values: Floats) -> Spread:
    """Quartiles of figures by round."""
    return _rounded(quartiles(values.tolist()), 3)


def ratios(times: Times, base: str) -> dict[str, Spread]:
    """Quartiles of the rounds' ratios to ``base``: what slows a whole round cancels."""
    return {
        name: _rounded(ratio(values, times[base]), 3)
        for name, values in times.items()
        if name != base
    }


def extra(times: Times, name: str, base: str) -> Floats:
    """By round, how much longer ``name`` takes than ``base``."""
    return np.subtract(times[name], times[base])


def _rounded(values: Sequence[float], digits: int) -> Spread:
    return [round(value, digits) for value in values]
