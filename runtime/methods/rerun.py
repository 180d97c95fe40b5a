"""One batch of images run in many variants: the loop behind SmoothGrad, RISE, Ablation-CAM and kin.

A variant is the batch with other values of an input, [N, ...]: images with noise or under a mask, a
layer without one channel. Variants are made, run and forgotten in batches of bounded size, and the
caller reduces what comes out. The classes are those of the plain images: a variant that ranks the
classes otherwise is run for the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs.scores import probabilities, scores_of, table_of
from ..session.session import Session, Tensors
from ..spec import ScoreRecord
from .method_io import MethodInput, Progress

Floats = NDArray[np.float32]
Variants = Callable[[slice], NDArray[Any]]
"""From a slice of their numbers to the variants, [V, N, ...]; asked for in order, each once."""

ROWS = 16  # of a run, where the batch is open; images of 224 pixels take 10 MB
MOST_ROWS = 128
_BYTES = 1 << 25  # of a run's varying input, where its rows are small


@dataclass(frozen=True)
class Rerun:
    """A graph that gives the scores, and the batch of which it runs variants.

    Copies of the last image, which fill up a fixed batch, are not run: their rows go to further
    variants.

    Attributes:
        session: The artifact, or the head of one.
        input: The input that varies.
        feeds: What each input takes for the plain batch, a row for each image, or one for all; the
            selector takes the explained classes, int64 [N, K] (no ranks), or weights.
        progress: Called with how many of how many runs are done; the plain run is the first.
    """

    session: Session
    input: str
    feeds: Tensors
    progress: Progress | None = None

    @property
    def original(self) -> NDArray[Any]:
        """What the varying input takes for the plain batch, [N, ...]."""
        return self.feeds[self.input]

    def scores(self, count: int, variants: Variants) -> Floats:
        """Scores of the classes for each of ``count`` variants, float32 [count, N, K].

        They are the scores that the artifact explains. Where those are an output, the graph runs
        with K = 0, as plain prediction; else (logits behind a softmax, probabilities of logits)
        with the classes.
        """
        score = self.session.spec.score
        predicts = score.kind in ("logit", "output") and score.value == score.output
        return self._read_scores(count, variants, table_of if predicts else None)

    def confidences(self, count: int, variants: Variants) -> Floats:
        """As `scores`, but of probabilities, where the scores are those of a classification."""
        if self.session.spec.score.kind == "linear":
            return self.scores(count, variants)
        return self._read_scores(count, variants, _confidences)

    def gradients(
        self, count: int, variants: Variants, name: str
    ) -> Iterator[tuple[Floats, Floats]]:
        """For each variant the output ``name``, gradients [N, K, ...], and the scores [N, K]."""
        if not self._classes:
            self._report(1, 1)
            none = np.zeros((len(self.original), 0, *self.original.shape[1:]), np.float32)
            yield from [(none, np.zeros(none.shape[:2], np.float32))] * count
            return
        scores = self.session.spec.scores
        for got in self.outputs(count, self._changes(variants), [name, scores]):
            yield got[name], got[scores]

    def outputs(
        self, count: int, variants: Callable[[slice], Tensors], names: Sequence[str]
    ) -> Iterator[Tensors]:
        """For each variant the outputs ``names``, [N, ...]; gradients may be among them.

        Args:
            count: How many variants there are.
            variants: What is fed instead, by input: [V, N, ...], of the same inputs each time.
            names: Which outputs.
        """
        # Each class of a row has a cotangent of its own.
        for got in self._runs(count, variants, names, self.feeds, ROWS // max(1, self._classes)):
            for start in range(0, len(got[names[0]]), self._images):
                part = slice(start, start + self._images)
                yield {name: self._with_copies(value[part]) for name, value in got.items()}

    def _read_scores(
        self,
        count: int,
        variants: Variants,
        table: Callable[[ScoreRecord, NDArray[Any]], NDArray[Any]] | None,
    ) -> Floats:
        """Scores read in the ``table`` of all classes that is made of the model's own output.

        Without ``table`` they are the artifact's own.
        """
        if not self._classes:
            self._report(1, 1)
            return np.zeros((count, len(self.original), 0), np.float32)
        spec, name, feeds = self.session.spec, self.session.spec.scores, self.feeds
        classes, region = feeds[spec.selector], feeds.get(spec.region or "")
        if table is not None:
            name = spec.score.output
            feeds = {name: value for name, value in feeds.items() if name != spec.region}
            feeds[spec.selector] = np.zeros((1, 0), np.int64)
        rows = min(max(ROWS, _BYTES // max(self.original[0].nbytes, 1)), MOST_ROWS)
        found: list[NDArray[Any]] = []
        for got in self._runs(count, self._changes(variants), [name], feeds, rows):
            values = got[name]
            if table is not None:
                ids, weights = self._repeat(classes, len(values)), region
                if region is not None and len(region) > 1:
                    weights = self._repeat(region, len(values))
                values = scores_of(table(spec.score, values), ids, weights)
            found.append(values)
        scores = np.concatenate(found).reshape(count, self._images, -1)
        return self._with_copies(scores.astype(np.float32, copy=False), axis=1)

    def _runs(
        self,
        count: int,
        variants: Callable[[slice], Tensors],
        names: Sequence[str],
        feeds: Tensors,
        rows: int,
    ) -> Iterator[Tensors]:
        """The outputs ``names`` of one run after the other, each of some variants, row by row.

        ``feeds`` are what does not vary. A run takes as many whole variants as ``rows`` or a fixed
        batch hold, and at least one.
        """
        fixed = self.session.inputs[self.input].shape[0]
        step = max(1, min((fixed or rows) // self._images, count))
        runs = 1 + -(-count // step)
        self._report(1, runs)
        for run, start in enumerate(range(0, count, step), start=2):
            part = slice(start, min(start + step, count))
            used = (part.stop - start) * self._images
            # No name holds the variants, so that the next ones take their memory.
            got = self.session.run(self._fed(variants(part), feeds, fixed or used), names)
            self._report(run, runs)
            yield {name: value[:used] for name, value in got.items()}

    def _fed(self, variants: Tensors, feeds: Tensors, rows: int) -> Tensors:
        """What one run takes: variants [V, N, ...] of some inputs, and the others repeated."""
        fed = dict(feeds)
        for name, value in feeds.items():
            if name in variants:
                some = variants[name][:, : self._images]
                flat = some.reshape(-1, *some.shape[2:]).astype(value.dtype, copy=False)
                # Copies fill up a fixed batch.
                fed[name] = flat if len(flat) == rows else np.resize(flat, (rows, *flat.shape[1:]))
            elif self._has_rows(name, value):
                fed[name] = self._repeat(value, rows)
        return fed

    def _changes(self, variants: Variants) -> Callable[[slice], Tensors]:
        return lambda part: {self.input: variants(part)}

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    @property
    def _classes(self) -> int:
        """K."""
        return self.feeds[self.session.spec.selector].shape[1]

    @cached_property
    def _images(self) -> int:
        """How many of the batch's images are run: all, but for copies of the last in a fixed one.

        With inputs beside the model's own, all are run in their places: where extents are fixed,
        nothing tells a row for each image from a table.
        """
        count, spec = len(self.original), self.session.spec
        if self.session.inputs[self.input].shape[0] is None:
            return count
        if set(self.feeds) - {self.input, *spec.own_inputs}:
            return count
        values = [value for value in self.feeds.values() if len(value) > 1]
        while count > 1 and all(np.array_equal(v[count - 1], v[count - 2]) for v in values):
            count -= 1
        return count

    def _has_rows(self, name: str, value: NDArray[Any]) -> bool:
        """Whether an input wants a row for each row of a run; a table, say, is the same for all."""
        if self.session.inputs[name].shape[:1] != (None,):
            return False
        return len(value) > 1 or name not in self.session.spec.own_inputs

    def _repeat(self, value: NDArray[Any], rows: int) -> NDArray[Any]:
        """What the images have, once for each variant, in ``rows`` rows."""
        return np.resize(value[: self._images], (rows, *value.shape[1:]))

    def _with_copies(self, value: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """What the images that were run have, for all of the batch."""
        lacking = len(self.original) - self._images
        if not lacking:
            return value
        last = np.take(value, [-1] * lacking, axis)
        return np.concatenate([value, last], axis)


def of_images(batch: MethodInput, *more: str) -> tuple[Tensors, Rerun]:
    """The plain images' answers and outputs ``more``, and the artifact to run variants of them."""
    got = batch.fetch([*batch.common_outputs, *more])
    return got, _rerun(batch, batch.session, batch.input, batch.feeds, got)


def of_head(batch: MethodInput) -> tuple[Tensors, Rerun]:
    """The plain images' answers, and the layer's head to run variants of its activations."""
    layer, head, session = batch.layer, batch.head(), batch.session
    sources = [name for name in head.beside.values() if name in session.outputs]
    got = batch.fetch(dict.fromkeys([*batch.common_outputs, layer.activations, *sources]))
    known = {**batch.feeds, **got}
    feeds = {name: known[source] for name, source in head.beside.items() if source in known}
    feeds[head.activations] = got[layer.activations]
    if session.spec.region in batch.feeds and head.session.spec.region is not None:
        feeds[head.session.spec.region] = batch.feeds[session.spec.region]
    return got, _rerun(batch, head.session, head.activations, feeds, got)


def _rerun(batch: MethodInput, session: Session, name: str, feeds: Tensors, got: Tensors) -> Rerun:
    spec = batch.session.spec
    selection = batch.feeds[spec.selector] if spec.classes is None else got[spec.classes]
    feeds = {**feeds, session.spec.selector: selection}
    return Rerun(session, name, feeds, batch.progress)


def _confidences(score: ScoreRecord, output: NDArray[Any]) -> NDArray[Any]:
    """Probabilities of all classes, [N, classes, *positions]; scores where there are none."""
    rows = [row for one in output if (row := probabilities(score, one)) is not None]
    return np.stack(rows) if rows else table_of(score, output)
