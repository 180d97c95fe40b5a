"""Many variants of one batch of pictures, run in batches of bounded size, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.scores import probabilities, scores_of, table_of
from ..session.session import Session, Tensors
from ..spec import ScoreRecord
from .request import Progress, Question

Floats = NDArray[np.float32]
# From a slice of the variants' numbers to the variants themselves, [V, N, ...].
Vary = Callable[[slice], NDArray[Any]]

ROWS = 16  # of a run, at least where the batch is open; pictures of 224 pixels take 10 MB
MOST_ROWS = 128
_BYTES = 1 << 25  # of a run's main input, where its rows are small


@dataclass(frozen=True)
class Rerun:
    """A graph that gives the score, asked again about variants of one of its inputs.

    Attributes:
        session: The artifact, or the head of one.
        input: The input that varies.
        clean: What it takes for the pictures as they are, [N, ...].
        beside: What its other inputs take, a row (or rows) for each picture.
        classes: The explained classes, int64 [N, K].
        region: Weights of the scored output's positions, where they were given.
        progress: Told how many of how many runs are done.
    """

    session: Session
    input: str
    clean: NDArray[Any]
    beside: Tensors
    classes: NDArray[np.int64]
    region: Floats | None
    progress: Progress | None

    def scores(self, count: int, vary: Vary) -> Floats:
        """Scores of the classes, float32 [count, N, K], for each of ``count`` variants.

        They are the scores that the artifact explains. Where those are an output, the graph runs
        with K = 0, as plain prediction; else (logits behind a softmax, probabilities of logits)
        with the classes.
        """
        spec, score = self.session.spec, self.session.spec.score
        if score.kind in ("logit", "output") and score.value == score.output:
            return self._by_table(count, vary, table_of)
        return self._collected(count, vary, spec.scores, np.asarray, asked=True)

    def confidences(self, count: int, vary: Vary) -> Floats:
        """As `scores`, but of probabilities, where the scores are those of a classification."""
        return self._by_table(count, vary, _confidences)

    def gradients(self, variant: NDArray[Any]) -> Floats:
        """Gradients of the scores at one variant [N, ...] of a head's input, [N, K, C, *space]."""
        name = self.session.spec.layers[0].gradients
        (got,) = self._runs(1, lambda _: variant[None], name, asked=True)
        return got

    def _by_table(
        self, count: int, vary: Vary, table: Callable[[ScoreRecord, NDArray[Any]], NDArray[Any]]
    ) -> Floats:
        """Scores read in a table of all classes that is made of the model's own output."""
        score = self.session.spec.score

        def read(output: NDArray[Any]) -> Floats:
            times = len(output) // len(self.clean)
            region = None if self.region is None else _repeated(self.region, times)
            return scores_of(table(score, output), _repeated(self.classes, times), region)

        return self._collected(count, vary, score.output, read, asked=False)

    def _collected(
        self,
        count: int,
        vary: Vary,
        name: str,
        read: Callable[[NDArray[Any]], NDArray[Any]],
        *,
        asked: bool,
    ) -> Floats:
        """What ``read`` makes of the output ``name`` of all runs, [count, N, K]."""
        shape = (count, *self.classes.shape)
        if not self.classes.size:
            return np.zeros(shape, np.float32)
        found = [read(got) for got in self._runs(count, vary, name, asked=asked)]
        return np.concatenate(found).reshape(shape).astype(np.float32)

    def _runs(self, count: int, vary: Vary, name: str, *, asked: bool) -> Iterator[NDArray[Any]]:
        """The output ``name`` for the variants, [V * N, ...] a run."""
        step = self._variants_a_run()
        for start in range(0, count, step):
            part = slice(start, min(start + step, count))
            yield self.session.run(self._feeds(vary(part), asked=asked), [name])[name]
            if self.progress is not None:
                self.progress(-(-part.stop // step), -(-count // step))

    def _variants_a_run(self) -> int:
        """How many variants of all pictures go into one run; one where the batch is fixed."""
        if self.session.inputs[self.input].shape[0] is not None:
            return 1
        size = self.clean[0].nbytes
        rows = min(max(ROWS, _BYTES // max(size, 1)), MOST_ROWS)
        return max(1, rows // len(self.clean))

    def _feeds(self, rows: NDArray[Any], *, asked: bool) -> Tensors:
        """What one run takes, for variants [V, N, ...].

        ``asked``: for the explained classes; else for K = 0, a plain prediction.
        """
        spec, times = self.session.spec, len(rows)
        flat = rows.reshape(-1, *rows.shape[2:])
        feeds = {self.input: flat.astype(self.clean.dtype, copy=False)}
        for name, value in self.beside.items():
            # What has no batch axis, such as a table, is the same for all rows.
            fixed = self.session.inputs[name].shape[:1] != (None,)
            feeds[name] = value if fixed else _repeated(value, times)
        none = np.zeros((1, 0), np.int64)
        feeds[spec.selector] = _repeated(self.classes, times) if asked else none
        if asked and spec.region is not None and self.region is not None:
            feeds[spec.region] = _repeated(self.region, times)
        return feeds


def _repeated(rows: NDArray[Any], times: int) -> NDArray[Any]:
    """Rows for ``times`` variants of the pictures, one variant after the other."""
    return np.concatenate([rows] * times)


def _confidences(score: ScoreRecord, output: NDArray[Any]) -> NDArray[Any]:
    """Probabilities of all classes, [N, classes, *positions]; scores where there are none."""
    rows = [row for one in output if (row := probabilities(score, one)) is not None]
    return np.stack(rows) if rows else table_of(score, output)


def of_pictures(question: Question, *more: str) -> tuple[Tensors, Rerun]:
    """The artifact's answer and the outputs ``more``, and how it is asked about other pictures."""
    got = question.session.run(question.feeds, [*question.answers, *more])
    clean = question.feeds[question.input]
    taken = {question.input, *question.session.spec.own_inputs}
    beside = {name: value for name, value in question.feeds.items() if name not in taken}
    return got, _rerun(question, question.session, question.input, clean, beside, got)


def of_head(question: Question, *more: str) -> tuple[Tensors, Rerun]:
    """The artifact's answer, its activations and ``more``, and how the layer's head is asked."""
    layer, head = question.layer, question.head()
    sources = [name for name in head.beside.values() if name in question.session.outputs]
    names = dict.fromkeys([*question.answers, layer.activations, *more, *sources])
    got = question.session.run(question.feeds, names)
    known = {**question.feeds, **got}
    beside = {name: known[source] for name, source in head.beside.items() if source in known}
    clean = got[layer.activations]
    return got, _rerun(question, head.session, head.activations, clean, beside, got)


def _rerun(
    question: Question,
    session: Session,
    name: str,
    clean: NDArray[Any],
    beside: Tensors,
    got: Tensors,
) -> Rerun:
    spec = question.session.spec
    if spec.classes is None:
        raise InputError(
            f"{question.session.path.name} has a linear score; methods that run variants need "
            "scores of classes"
        )
    region = None if spec.region is None else question.feeds.get(spec.region)
    if region is not None:
        region = np.broadcast_to(region, (len(clean), *region.shape[1:]))
    return Rerun(session, name, clean, beside, got[spec.classes], region, question.progress)
