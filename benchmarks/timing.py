"""Interleaved times and their ratios."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Run = Callable[[], Any]
Times = Mapping[str, Sequence[float]]
Spread = list[float]  # lower quartile, median, upper quartile
Floats = npt.NDArray[np.float64]

_WARM_UPS = 2
_PAUSE = 0.02  # seconds before each run: PyTorch's threads spin for a while after their work


def measure(runs: Mapping[str, Run], rounds: int, warm_ups: int = _WARM_UPS) -> Times:
    """Milliseconds of each run in each round; the runs of a round follow each other, shuffled."""
    order = list(runs)
    shuffle = random.Random(0).shuffle
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm_ups + rounds):
        shuffle(order)
        for name in order:
            time.sleep(_PAUSE)
            start = time.perf_counter()
            runs[name]()
            if turn >= warm_ups:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def gather(runs: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> dict[str, Times]:
    """As `measure`, of runs that measure themselves: what they return, by quantity, then by run.

    One round before the first warms the disk's cache and does not count.
    """
    order = list(runs)
    shuffle = random.Random(0).shuffle
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
    return {name: spread(values, digits) for name, values in times.items()}


def spread(values: Sequence[float] | Floats, digits: int = 3) -> Spread:
    """Lower quartile, median, upper quartile."""
    return [round(float(q), digits) for q in np.percentile(values, [25, 50, 75])]


def ratios(times: Times, base: str) -> dict[str, Spread]:
    """Quartiles of the rounds' ratios to ``base``: what slows a whole round cancels."""
    return {
        name: spread(np.divide(values, times[base]))
        for name, values in times.items()
        if name != base
    }


def extra(times: Times, name: str, base: str) -> Floats:
    """By round, how much longer ``name`` takes than ``base``."""
    return np.subtract(times[name], times[base])
