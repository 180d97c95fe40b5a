"""This module makes many runs of one set of inputs: other levels, batch sizes and numbers K.

The truth is computed once for a chunk of inputs. Each run then takes some of its rows and some of
its classes, and everything that the artifact gives is compared with that part of the truth.
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
class FirstRun:
    """Inputs, and what the first run gave for them: the best-ranked classes, or random scores.

    Attributes:
        feeds: The model's own inputs by name.
        source: What the source takes instead, if the artifact takes images as they are.
        results: All outputs; where there is a region, K doubled for it.
        selected: The scores of the later runs: classes by id, [N, K], or weights of a linear
            score, [N, K, *output]; not doubled.
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
    """What the artifact should give for the inputs of a `FirstRun`.

    Attributes:
        first: The first run, with its inputs.
        expected: Outputs by name, as `FirstRun.results` has them.
        own: The reference's own values in the model's precision; a number is a fixed bound.
    """

    first: FirstRun
    expected: Tensors
    own: Tensors | float


@dataclass(frozen=True)
class Run:
    """One run of part of a chunk, and the truth about that part.

    Attributes:
        selected: The requested classes or weights, [n, k, ...].
        results: All outputs.
        expected: What they should be.
        own: As for `Truth`.
    """

    selected: Array
    results: Tensors
    expected: Tensors
    own: Tensors | float


def first_run(session: Any, spec: Spec, feeds: Tensors, matrix: Matrix, seed: int) -> FirstRun:
    """Make the first run of a chunk.

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    count = max(matrix.counts_of(spec))
    chosen = best_or_drawn(session, feeds, spec, seed, count)
    ranked = run_session(session, {**required_feeds(session, spec), **feeds, **chosen})
    if spec.classes is None:
        return FirstRun(feeds, ranked, chosen[spec.selector], None)
    # A wrong artifact may name classes that do not exist; no reference could compute them.
    classes = np.clip(ranked[spec.classes], 0, spec.score.classes - 1)
    region = draw_region(ranked, spec, seed)
    if region is None:
        return FirstRun(feeds, ranked, classes, None)
    # By id: another region would rank other classes.
    results = run_regions(session, {**feeds, spec.selector: classes}, spec, region)
    return FirstRun(feeds, results, classes, region)


def runs(session: Any, spec: Spec, truth: Truth, matrix: Matrix) -> Iterator[Run]:
    """Run every part of a chunk that the matrix names, with classes by id.

    Raises:
        VerificationError: ONNX Runtime cannot run one of them.
    """
    first = truth.first
    images, depth = first.selected.shape[:2]
    for rows in _rows(images, fixed_batch(session, spec), matrix.splits):
        for count in matrix.counts_of(spec):
            region = None if first.region is None else first.region[rows, :count]
            chosen = first.selected[rows, :count]
            feeds = {**some_rows(first.feeds, rows), spec.selector: chosen}
            results = run_regions(session, feeds, spec, region)
            columns = list(range(count))
            selected = chosen
            if region is not None:
                columns += [depth + k for k in range(count)]
                selected = np.concatenate([chosen, chosen], axis=1)
            part = partial(_part, class_wise(spec), rows, columns)
            own = part(truth.own) if isinstance(truth.own, dict) else truth.own
            yield Run(selected, results, part(truth.expected), own)


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
