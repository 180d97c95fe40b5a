"""One set of inputs in many runs: every optimisation level, several batch sizes, several K.

Truth is worked out once for a chunk of inputs. Each run then asks for some of its rows and some of
its classes, and everything that the artifact gives is held against that part of the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...runtime.spec import Spec
from .running import (
    LEVELS,
    Array,
    Level,
    Tensors,
    best_or_drawn,
    class_wise,
    draw_region,
    fixed_batch,
    required_feeds,
    run_regions,
    run_session,
    some_rows,
)


@dataclass(frozen=True)
class Matrix:
    """Which runs are made of a chunk of inputs.

    Attributes:
        levels: ONNX Runtime's optimisation levels; the first run is made at the first.
        splits: Batch sizes of the runs that share a chunk; an artifact whose batch is fixed has
            its own.
        counts: Numbers of scores, K; a model with fewer classes has fewer.
    """

    levels: tuple[Level, ...]
    splits: tuple[int, ...]
    counts: tuple[int, ...]

    def counts_of(self, spec: Spec) -> list[int]:
        """The K of the runs."""
        most = max(self.counts) if spec.classes is None else spec.score.classes
        return sorted({min(count, most) for count in self.counts})


QUICK = Matrix(("all",), (4,), (2,))
FULL = Matrix(LEVELS, (3, 1), (0, 1, 3))


@dataclass(frozen=True)
class Asked:
    """Inputs, and what the first run gave for them: the best-ranked classes, or random scores.

    Attributes:
        feeds: The model's own inputs by name.
        source: What the source takes instead, if the artifact takes images as they are.
        results: All outputs; where there is a region, K doubled for it.
        selected: What tells the scores of the later runs: classes by id, [N, K], or weights of a
            linear score, [N, K, *output]; not doubled.
        region: Random weights of the scored output's positions, [N, K, *positions], or None.
    """

    feeds: Tensors
    results: Tensors
    selected: Array
    region: Array | None
    source: Tensors | None = None

    @property
    def source_feeds(self) -> Tensors:
        """The inputs of the model that the artifact was made from."""
        return self.feeds if self.source is None else self.source

    @property
    def doubled(self) -> tuple[Array, Array | None]:
        """Scores and regions as a reference takes them: all positions, then the region."""
        if self.region is None:
            return self.selected, None
        ones = np.ones_like(self.region)
        return (
            np.concatenate([self.selected, self.selected], axis=1),
            np.concatenate([ones, self.region], axis=1),
        )


@dataclass(frozen=True)
class Truth:
    """What the artifact should give for the inputs of an `Asked`.

    Attributes:
        asked: The inputs.
        expected: Outputs by name, as `Asked.results` has them.
        own: The reference's own values in the model's precision; a number is a fixed bound.
    """

    asked: Asked
    expected: Tensors
    own: Tensors | float


@dataclass(frozen=True)
class Run:
    """One run of part of a chunk, and the truth about that part.

    Attributes:
        selected: What was asked for, [n, k, ...].
        results: All outputs.
        expected: What they should be.
        own: As for `Truth`.
    """

    selected: Array
    results: Tensors
    expected: Tensors
    own: Tensors | float


def ask(session: Any, spec: Spec, feeds: Tensors, matrix: Matrix, seed: int) -> Asked:
    """Make the first run of a chunk.

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    count = max(matrix.counts_of(spec))
    chosen = best_or_drawn(session, feeds, spec, seed, count)
    first = run_session(session, {**required_feeds(session, spec), **feeds, **chosen})
    if spec.classes is None:
        return Asked(feeds, first, chosen[spec.selector], None)
    # A wrong artifact may name classes that there are not; no reference could be asked for them.
    classes = np.clip(first[spec.classes], 0, spec.score.classes - 1)
    region = draw_region(first, spec, seed)
    if region is None:
        return Asked(feeds, first, classes, None)
    # By id: another region would rank other classes.
    results = run_regions(session, {**feeds, spec.selector: classes}, spec, region)
    return Asked(feeds, results, classes, region)


def runs(session: Any, spec: Spec, truth: Truth, matrix: Matrix) -> Iterator[Run]:
    """Run every part of a chunk that the matrix asks for, with classes by id.

    Raises:
        VerificationError: ONNX Runtime cannot run one of them.
    """
    asked = truth.asked
    images, depth = asked.selected.shape[:2]
    for rows in _rows(images, fixed_batch(session, spec), matrix.splits):
        for count in matrix.counts_of(spec):
            region = None if asked.region is None else asked.region[rows, :count]
            chosen = asked.selected[rows, :count]
            feeds = {**some_rows(asked.feeds, rows), spec.selector: chosen}
            results = run_regions(session, feeds, spec, region)
            columns = list(range(count))
            wanted = chosen
            if region is not None:
                columns += [depth + k for k in range(count)]
                wanted = np.concatenate([chosen, chosen], axis=1)
            part = partial(_part, class_wise(spec), rows, columns)
            own = part(truth.own) if isinstance(truth.own, dict) else truth.own
            yield Run(wanted, results, part(truth.expected), own)


def _part(class_wise: set[str], rows: slice, columns: list[int], tensors: Tensors) -> Tensors:
    """Some rows of every tensor, and some classes of those that have classes."""
    return {
        name: value[rows][:, columns] if name in class_wise else value[rows]
        for name, value in tensors.items()
    }


def _rows(images: int, batch: int | None, splits: Sequence[int]) -> Iterator[slice]:
    """Consecutive parts of ``images`` rows, of the sizes in turn."""
    start = 0
    while start < images:
        for size in [batch] if batch else splits:
            if start < images:
                yield slice(start, start + size)
            start += size
