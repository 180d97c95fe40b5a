"""`interleave` times several functions in turns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

WARM_UPS = 3

Run = Callable[[], Any]


def calm(options: Any) -> None:
    """Set ``SessionOptions`` for measurements: idle threads do not spin.

    Spinning threads of one session would slow another session that is timed in turns with it.
    """
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")


def warm_up(runs: Mapping[str, Run]) -> float:
    """Run everything ``WARM_UPS`` times and return the seconds that the last turn took."""
    since = time.perf_counter()
    for _ in range(WARM_UPS):
        since = time.perf_counter()
        for run in runs.values():
            run()
    return time.perf_counter() - since


def interleave(
    runs: Mapping[str, Run], rounds: int, seed: int = 0, pause: float = 0.0
) -> dict[str, list[float]]:
    """Return the milliseconds of each run in each round.

    The runs of a round follow each other in random order: a slow phase of the machine slows all of
    them, and no run always follows the same other one.

    Args:
        runs: Functions to time, after `warm_up`.
        rounds: Number of rounds.
        seed: Seed of the orders.
        pause: Seconds before each run, until threads of the previous run stop spinning.
    """
    order, shuffle = list(runs), random.Random(seed).shuffle
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            time.sleep(pause)
            start = time.perf_counter()
            runs[name]()
            times[name].append(1000 * (time.perf_counter() - start))
    return times


def quartiles(values: Sequence[float]) -> list[float]:
    """Return first quartile, median and third quartile."""
    return [float(value) for value in np.percentile(values, [25, 50, 75])]


def ratio(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return the quartiles of the rounds' ratios: a slow round cancels out."""
    return quartiles([value / other for value, other in zip(values, base, strict=True)])
