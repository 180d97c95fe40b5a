"""`Rerun` runs one batch of images in many variants, for SmoothGrad, RISE, Ablation-CAM and others.

A variant is the batch with other values of one input, [N, ...]: images with noise or under a mask,
a layer without one channel. Variants are made and run in groups of bounded size, and the caller
reduces the outputs. All variants are run for the classes of the plain images, whatever ranks the
classes have in a variant.
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
from ..settings import WEIGHTED
from ..spec import ScoreRecord
from .method_io import MethodInput, Progress

Floats = NDArray[np.float32]
Variants = Callable[[slice], NDArray[Any]]
"""Makes the variants with the numbers in a slice, [V, N, ...]; called in order, once for each."""

ROWS = 16  # rows of a run if the batch is dynamic; images of 224 pixels take 10 MB
MOST_ROWS = 128
_BYTES = 1 << 25  # size of the varying input in one run, if its rows are small


@dataclass(frozen=True)
class Rerun:
    """A graph that outputs the scores, and the batch of which it runs variants.

    Copies of the last image, which fill up a fixed batch, are not run: their rows serve further
    variants.

    Attributes:
        session: The artifact, or the head of a layer.
        input: The input that varies.
        feeds: The inputs of the plain batch by name, with a row for each image or one for all. The
            selector has the explained classes, int64 [N, K] (no ranks), or weights.
        progress: Called with the number of finished runs and of all runs; the plain run is the
            first.
    """

    session: Session
    input: str
    feeds: Tensors
    progress: Progress | None = None

    @property
    def original(self) -> NDArray[Any]:
        """The value of the varying input for the plain batch, [N, ...]."""
        return self.feeds[self.input]

    def scores(self, count: int, variants: Variants) -> Floats:
        """Return the scores of the classes for each of ``count`` variants, float32 [count, N, K].

        They are the scores that the artifact explains. If these are a model output, the graph runs
        with K = 0, as a plain prediction. Otherwise (logits before a softmax, probabilities of
        logits) it runs with the classes.
        """
        score = self.session.spec.score
        if self.session.spec.detector is not None:
            return self._read_scores(count, variants, None)  # of boxes, not of the whole output
        predicts = score.kind in ("logit", "output") and score.value == score.output
        return self._read_scores(count, variants, table_of if predicts else None)

    def confidences(self, count: int, variants: Variants) -> Floats:
        """Return probabilities instead of `scores`, if the scores are those of a classification."""
        if self.session.spec.score.kind in WEIGHTED or self.session.spec.detector is not None:
            return self.scores(count, variants)
        return self._read_scores(count, variants, _confidences)

    def gradients(
        self, count: int, variants: Variants, name: str
    ) -> Iterator[tuple[Floats, Floats]]:
        """Yield for each variant the output ``name``, gradients [N, K, ...], and scores [N, K]."""
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
        """Yield for each variant the outputs ``names``, [N, ...], which may include gradients.

        Args:
            count: Number of variants.
            variants: Makes the changed inputs by name, [V, N, ...]; the same inputs each time.
            names: Names of the outputs.
        """
        # Each class of a row has its own cotangent.
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
        """Return the scores from the ``table`` of all classes, computed from the model's output.

        Without ``table`` they are the artifact's ``scores``.
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
        """Yield the outputs ``names`` of one run after the other, row by row.

        ``feeds`` are the plain inputs. A run contains as many whole variants as fit into ``rows``
        or a fixed batch, and at least one.
        """
        fixed = self.session.inputs[self.input].shape[0]
        step = max(1, min((fixed or rows) // self._images, count))
        runs = 1 + -(-count // step)
        self._report(1, runs)
        for run, start in enumerate(range(0, count, step), start=2):
            part = slice(start, min(start + step, count))
            used = (part.stop - start) * self._images
            # No variable refers to the variants, so that the next ones reuse their memory.
            got = self.session.run(self._fed(variants(part), feeds, fixed or used), names)
            self._report(run, runs)
            yield {name: value[:used] for name, value in got.items()}

    def _fed(self, variants: Tensors, feeds: Tensors, rows: int) -> Tensors:
        """Return the inputs of one run: variants [V, N, ...] of some, and the others repeated."""
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
        """Number of images that are run: all, except copies of the last one in a fixed batch.

        If the model has further inputs, all images are run: with fixed extents, an input with one
        row for each image looks the same as a table that all images share.
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
        """Whether an input has a row for each row of a run, and is not shared like a table."""
        if self.session.inputs[name].shape[:1] != (None,):
            return False
        return len(value) > 1 or name not in self.session.spec.own_inputs

    def _repeat(self, value: NDArray[Any], rows: int) -> NDArray[Any]:
        """Repeat the rows of the images, once for each variant, to ``rows`` rows."""
        own = value[: self._images]
        return own if len(own) == rows else np.resize(own, (rows, *own.shape[1:]))

    def _with_copies(self, value: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """Extend the rows of the images that were run to the whole batch."""
        lacking = len(self.original) - self._images
        if not lacking:
            return value
        last = np.take(value, [-1] * lacking, axis)
        return np.concatenate([value, last], axis)


def of_images(batch: MethodInput, *more: str) -> tuple[Tensors, Rerun]:
    """Run the plain images; return their outputs, with ``more``, and a `Rerun` of the artifact."""
    got = batch.fetch([*batch.common_outputs, *more])
    return got, _rerun(batch, batch.session, batch.input, batch.feeds, got)


def of_head(batch: MethodInput) -> tuple[Tensors, Rerun]:
    """Run the plain images; return their outputs, and a `Rerun` of the layer's head."""
    layer, head, session = batch.layer, batch.head(), batch.session
    sources = [name for name in head.beside.values() if name in session.outputs]
    got = batch.fetch(dict.fromkeys([*batch.common_outputs, layer.activations, *sources]))
    values = {**batch.feeds, **got}
    feeds = {name: values[source] for name, source in head.beside.items() if source in values}
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
    """Return the probabilities of all classes, [N, classes, *positions]; else the scores."""
    rows = [row for one in output if (row := probabilities(score, one)) is not None]
    return np.stack(rows) if rows else table_of(score, output)
