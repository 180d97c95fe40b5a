"""This module makes many runs of one set of inputs: other levels, batch sizes and numbers K.

The truth is computed once for a chunk of inputs. Each run then takes some of its rows and some of
its classes, and everything that the artifact gives is compared with that part of the truth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ....runtime.spec import Spec
from ...graph.ort_session import LEVELS, Where
from .artifact import Artifact
from .running import Array, Tensors, some_rows


@dataclass(frozen=True)
class Matrix:
    """Which runs are made of a chunk of inputs.

    Attributes:
        levels: ONNX Runtime's optimisation levels, or one engine; the first run is made at the
            first.
        splits: Batch sizes of the runs that share a chunk; an artifact whose batch is fixed has
            its own.
        counts: Numbers of scores, K; a model with fewer classes has fewer.
    """

    levels: tuple[Where, ...]
    splits: tuple[int, ...]
    counts: tuple[int, ...]

    def counts_of(self, spec: Spec) -> list[int]:
        """The K of the runs; of a detector enough for a class and an edge of every level."""
        if spec.detector is not None:
            few = [count for count in self.counts if count < max(self.counts)]
            return [*few, max(2 * len(spec.detector.levels), *self.counts)]
        most = max(self.counts) if spec.classes is None else spec.score.classes
        return sorted({min(count, most) for count in self.counts})


QUICK = Matrix(("all",), (4,), (2,))
FULL = Matrix(LEVELS, (3, 1), (0, 1, 3))


@dataclass(frozen=True)
class FirstRun:
    """Inputs, and what the first run gave for them: the best-ranked classes, or random scores.

    Attributes:
        feeds: The model's own inputs by name.
        source: What the source takes; something else if the artifact takes images as they are.
        results: All outputs; where there is a region, K doubled for it.
        selected: The scores of the later runs: classes by id, [N, K]; of a detector class, box
            and target, [N, K, 3]; or weights of a linear score, [N, K, *output]; not doubled.
        region: Random weights of the scored output's positions, [N, K, *positions], or None.
    """

    feeds: Tensors
    source: Tensors
    results: Tensors
    selected: Array
    region: Array | None = None

    @property
    def doubled(self) -> tuple[Array, Array | None]:
        """Scores and regions as a reference takes them: all positions, then the region."""
        if self.region is None:
            return self.selected, None
        both = np.concatenate([np.ones_like(self.region), self.region], axis=1)
        return np.concatenate([self.selected, self.selected], axis=1), both


@dataclass(frozen=True)
class Bounds:
    """Bounds of relative errors by output.

    Attributes:
        errors: The largest error of each output.
    """

    errors: dict[str, float]


@dataclass(frozen=True)
class Truth:
    """What the artifact should give for the inputs of a `FirstRun`.

    Attributes:
        first: The first run, with its inputs.
        expected: Outputs by name, as `FirstRun.results` has them.
        own: The reference's own values in the model's precision; or bounds, one for all or by name.
    """

    first: FirstRun
    expected: Tensors
    own: Tensors | Bounds | float


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
    own: Tensors | Bounds | float


def first_run(artifact: Artifact, feeds: Tensors, matrix: Matrix, seed: int) -> FirstRun:
    """Make the first run of a chunk.

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    spec, source = artifact.spec, artifact.source_feeds(feeds)
    chosen = artifact.choose(feeds, seed, max(matrix.counts_of(spec)))
    ranked = artifact.run({**feeds, **chosen})
    if spec.detector is not None:
        return FirstRun(feeds, source, ranked, np.stack([*chosen.values()], axis=2))
    if spec.classes is None:
        return FirstRun(feeds, source, ranked, chosen[spec.selector])
    # A wrong artifact may name classes that do not exist; no reference could compute them.
    classes = np.clip(ranked[spec.classes], 0, spec.score.classes - 1)
    if spec.region is None:
        return FirstRun(feeds, source, ranked, classes)
    shape = *ranked[spec.scores].shape, *spec.score.positions(ranked[spec.score.output].shape)
    region = np.random.default_rng(seed).random(shape, np.float32)
    # By id: another region would rank other classes.
    results = artifact.run({**feeds, spec.selector: classes}, region)
    return FirstRun(feeds, source, results, classes, region)


def runs(artifact: Artifact, truth: Truth, matrix: Matrix) -> Iterator[Run]:
    """Run every part of a chunk that the matrix names, with classes by id.

    Raises:
        VerificationError: ONNX Runtime cannot run one of them.
    """
    first, spec = truth.first, artifact.spec
    class_wise, batched = artifact.class_wise, artifact.batched
    images, depth = first.selected.shape[:2]

    def part(tensors: Tensors, rows: slice, columns: Sequence[int]) -> Tensors:
        """Some rows of every tensor, and some classes of those that have classes."""
        return {
            name: value[rows][:, columns] if name in class_wise else value[rows]
            for name, value in tensors.items()
        }

    for rows in _rows(images, (artifact.batch,) if artifact.batch else matrix.splits):
        for count in matrix.counts_of(spec):
            columns, selected, region = [*range(count)], first.selected[rows, :count], None
            feeds = {**some_rows(first.feeds, rows, batched), **artifact.request(selected)}
            if first.region is not None:
                region = first.region[rows, :count]
                columns += range(depth, depth + count)
                selected = np.concatenate([selected, selected], axis=1)
            results = artifact.run(feeds, region)
            own = truth.own
            own = part(own, rows, columns) if isinstance(own, dict) else own
            yield Run(selected, results, part(truth.expected, rows, columns), own)


def _rows(images: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Consecutive parts of ``images`` rows, of the sizes in turn."""
    start = 0
    for size in itertools.cycle(sizes):
        if start >= images:
            return
        yield slice(start, start + size)
        start += size
