"""The artifact run again on inputs made from each picture, for methods that average over them.

The classes are settled on the pictures as they are: an input that ranks the classes otherwise is
still asked for the same ones. Inputs are made, run and forgotten a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session.session import Tensors
from .request import Answer, Progress, Question

ROWS = 16  # of one run, times its classes: each has a cotangent of its own
Measures = dict[str, NDArray[np.float64]]

_OPTIONS = {
    "input_gradients": "--extra input_gradients",
    "guided_gradients": "--extra guided",
    "deconvnet_gradients": "--extra guided",
}


def of_input(question: Question, field: str) -> str:
    """Name of the output for the picture's input that a field of the metadata holds.

    Raises:
        InputError: The artifact has none.
    """
    session = question.session
    if field not in session.spec.of_input:
        raise InputError(
            f"{session.path.name} has no {field}, which this method needs; export it with "
            f"{_OPTIONS[field]}"
        )
    return session.spec.of_input[field]


def channels(question: Question) -> int:
    """Axis of the channels in a picture as the model takes it, counted from the end."""
    transform = question.session.spec.preprocess
    return -1 if transform is not None and transform.layout == "nhwc" else -3


@dataclass(frozen=True)
class Subject:
    """One picture of a question, to be run again in other forms.

    Attributes:
        question: The question.
        index: Its place in the batch.
        chosen: What the selector is fed for it: the explained classes, int64 [1, K], or weights.
        scores: Its scores for them, float32 [K].
        rows: How many inputs go into one run.
        told: Called after each run.
    """

    question: Question
    index: int
    chosen: NDArray[Any]
    scores: NDArray[np.float32]
    rows: int
    told: Callable[[], None]

    @property
    def picture(self) -> NDArray[Any]:
        """The picture as the model takes it, [*input]."""
        return self.question.feeds[self.question.input][self.index]

    def gradients(
        self, inputs: Iterable[NDArray[Any]]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """For each of ``inputs`` [*input] the gradient [K, *input] and the scores [K].

        Without classes there is nothing to run.
        """
        session, spec = self.question.session, self.question.session.spec
        gradients, dtype = of_input(self.question, "input_gradients"), self.picture.dtype
        ahead = iter(inputs if len(self.scores) else ())
        while chunk := [one.astype(dtype, copy=False) for one in islice(ahead, self.rows)]:
            extent = session.inputs[self.question.input].shape[0] or len(chunk)
            filled = np.stack(chunk + chunk[-1:] * (extent - len(chunk)))
            got = session.run(self._feeds(filled), [gradients, spec.scores])
            self.told()
            yield from zip(got[gradients][: len(chunk)], got[spec.scores], strict=False)

    def _feeds(self, rows: NDArray[Any]) -> Tensors:
        """The question's feeds with ``rows`` for the pictures, and else what is this one's own."""
        question = self.question
        own = {
            name: value if len(value) == 1 else value[self.index : self.index + 1]
            for name, value in question.feeds.items()
        }
        selector = question.session.spec.selector
        return {**own, selector: self.chosen, question.input: rows}


def by_picture(
    question: Question,
    count: int,
    explain: Callable[[Subject], tuple[NDArray[Any], Measures]],
) -> Answer:
    """Settle the classes, then explain one picture after the other.

    What a picture's map is does not depend on the others beside it. The copies that fill up a fixed
    batch are not explained again.

    Args:
        question: The question.
        count: How many inputs ``explain`` makes of a picture.
        explain: Makes the maps [K, *space] of a picture, and what it measured on the way, [K] each.

    Raises:
        InputError: The artifact does not give the input's gradient.
    """
    of_input(question, "input_gradients")
    got = question.session.run(question.feeds, question.answers)
    spec = question.session.spec
    scores = got[spec.scores]
    # Ranks are settled; weights are what they were.
    asked = got[spec.classes] if spec.classes else question.feeds[spec.selector]
    asked = np.broadcast_to(asked, (len(scores), *asked.shape[1:]))
    extent = question.session.inputs[question.input].shape[0]
    rows = extent or max(1, ROWS // max(1, scores.shape[1]))
    fresh = [index == 0 or not _repeats(question, index) for index in range(len(scores))]
    runs = sum(fresh) * -(-count // rows) if scores.shape[1] else 0
    told = _Counter(question.progress, 1 + runs)
    told()
    found: list[tuple[NDArray[Any], Measures]] = []
    for index, is_fresh in enumerate(fresh):
        subject = Subject(question, index, asked[index : index + 1], scores[index], rows, told)
        found.append(explain(subject) if is_fresh else found[-1])
    maps = np.stack([one for one, _ in found])
    names = found[0][1]
    return question.answer(got, maps, {n: np.stack([m[n] for _, m in found]) for n in names})


def _repeats(question: Question, index: int) -> bool:
    """Whether a row asks what the one before it does."""
    return all(
        len(value) == 1 or np.array_equal(value[index], value[index - 1])
        for value in question.feeds.values()
    )


class _Counter:
    """Tells how many of ``total`` runs are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
