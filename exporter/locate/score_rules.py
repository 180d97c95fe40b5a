"""This module decides which output is the score, and which of its axes holds the classes.

A PyTorch module and an ONNX graph show different things of an output. Each side writes what it sees
into `OutputFacts`; the decision and its words are the same for both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...runtime.settings import WEIGHTED, Activation, Score
from ..errors import ScoreError
from ..graph.emitter import Dim

_SCORES = "[batch, classes] or [batch, classes, *positions] float tensor"
_LINEAR = "float tensor [batch, ...]"
_EMBEDDING = "float tensor [batch, width] (an embedding)"
# Words in names that are no more than a hint: they decide between outputs that are alike otherwise.
_OF_CLASSES = re.compile(r"logit|prob|score|(?<![a-z])cls|class|label|softmax|segment")
_OF_OTHERS = re.compile(
    r"box|bbox|(?<![a-z])loc|(?<![a-z])reg|landmark|feat|embed|hidden|anchor|offset|delta|mask"
    r"|pooler|(?<![a-z])aux|detect"
)
_NO_CLASSES_OF = re.compile(r"embed|pooler|hidden_state|feature")
_NO_CLASSES = (
    "by its name an embedding, whose entries are no classes: score similarity (--score similarity) "
    "explains it by texts, score linear by directions"
)
_OF_IMAGES = re.compile(r"(image|vision|visual|img).*(embed|feat|proj)")
_OF_EMBEDDINGS = re.compile(r"embed|feat|proj|pool")
_OF_TEXTS = re.compile(r"text|caption|logit|per_image")


@dataclass(frozen=True)
class OutputFacts:
    """What is known about an output.

    Attributes:
        name: Its name; empty if it has none yet.
        shape: Its shape; None if unknown.
        is_float: Whether it holds floating-point numbers.
        ends_in: The operator that makes probabilities of it, Softmax, LogSoftmax or Sigmoid; empty
            if none does.
        softmax_axis: The axis along which a Softmax or LogSoftmax sums up to 1.
        channel_axis: The axis that holds the channels of the last layer with weights; 0 if there
            was one channel and its axis is gone.
        maker: The operator of that layer.
        split: Whether it holds only a part of them, such as the classes of one anchor.
        feeds: Names of outputs that are computed from it.
    """

    name: str
    shape: tuple[Dim, ...] | None
    is_float: bool = True
    ends_in: str = ""
    softmax_axis: int | None = None
    channel_axis: int | None = None
    maker: str = ""
    split: bool = False
    feeds: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """Its name and shape."""
        return f"{self.name or 'the output'} {list(self.shape or ())}"


@dataclass(frozen=True)
class Scored:
    """The decision.

    Attributes:
        place: The scored output's place among the outputs.
        axis: The axis of its classes; 1 for a single logit [batch].
        reason: What it is, and why.
    """

    place: int
    axis: int
    reason: str


def choose_output(
    outputs: Sequence[OutputFacts], score: Score, batches: frozenset[Dim], labels: int | None
) -> Scored:
    """Choose the output to score and the axis of its classes.

    Evidence, the strongest first: the number of labels fits; it ends in a Softmax; no other output
    is computed from it; it has no positions; its name; the order of the outputs.

    Args:
        outputs: All outputs in their order.
        score: What the user asks for.
        batches: The extents that the batch has in the inputs.
        labels: Number of labels, if there are any.

    Raises:
        ScoreError: None can be scored as asked.
    """
    if score.output is not None:
        place = next((i for i, one in enumerate(outputs) if one.name == score.output), None)
        if place is None:
            raise ScoreError(
                f"no output is called {score.output!r}; the model has: {_listed(outputs)}"
            )
        fault = _fault(outputs[place], score, batches, labels)
        if fault:
            raise ScoreError(f"output {score.output!r} {fault}: {_listed(outputs)}")
        _check_axis(outputs[place], score, labels)
        return _scored(place, outputs[place], score, labels, ["named by the user"])
    faults = [_fault(one, score, batches, labels) for one in outputs]
    fitting = [place for place, fault in enumerate(faults) if not fault]
    if not fitting:
        told = [f for one, f in zip(outputs, faults, strict=True) if f and one.is_float]
        why = next((f for f in told if not f.startswith("is no ")), "")
        told = f" ({why})" if why else ""
        raise ScoreError(
            f"no output is a {_expected(score)}{told}; the model has: {_listed(outputs)}"
        )
    best = max(fitting, key=lambda place: (*_evidence(outputs[place], score, labels), -place))
    _check_axis(outputs[best], score, labels)
    others = len(outputs) - 1
    more = [f"{others} other output{'s' if others > 1 else ''}"] if others else []
    return _scored(best, outputs[best], score, labels, more)


def _evidence(one: OutputFacts, score: Score, labels: int | None) -> tuple[bool | int, ...]:
    """How much speaks for an output, compared in this order."""
    rank, name = len(one.shape or ()), one.name.lower()
    if score.kind == "similarity":
        return (
            not _OF_TEXTS.search(name),
            bool(_OF_IMAGES.search(name)),
            bool(_OF_EMBEDDINGS.search(name)),
            not one.feeds,
        )
    words = bool(_OF_CLASSES.search(name)) - bool(_OF_OTHERS.search(name))
    return (
        _fitting_axis(one, score, labels) is not None,
        one.ends_in in ("Softmax", "LogSoftmax"),
        not one.feeds,
        rank <= 2,
        words,
        # One number for each image next to several outputs is rather a loss or a count.
        rank > 1,
    )


def _scored(
    place: int, one: OutputFacts, score: Score, labels: int | None, more: Sequence[str]
) -> Scored:
    """The decision for an output, in words."""
    axis, why = _axis(one, score, labels)
    reasons = [f"ends in {one.ends_in}"] * bool(one.ends_in) + [why] * bool(why)
    if labels is None and score.kind not in WEIGHTED and _NO_CLASSES_OF.search(one.name.lower()):
        more = [*more, _NO_CLASSES]
    said = "; ".join([*reasons, *more])
    return Scored(place, axis, f"{one.described}: {said}" if said else one.described)


def _axis(one: OutputFacts, score: Score, labels: int | None) -> tuple[int, str]:
    """The axis of the classes, and what shows it."""
    shape = one.shape or ()
    if score.class_axis is not None:
        return score.class_axis % max(len(shape), 2), ""
    fitting = _fitting_axis(one, score, labels)
    if len(shape) < 3 or score.kind in WEIGHTED:
        return 1, "as many classes as labels" if fitting is not None else ""
    if fitting is not None:
        return fitting, f"as many classes as labels along axis {fitting}"
    sure = one.channel_axis and not one.split and one.channel_axis != one.softmax_axis
    if one.softmax_axis and isinstance(shape[one.softmax_axis], int) and not sure:
        return one.softmax_axis, f"classes along axis {one.softmax_axis}"
    if one.channel_axis and isinstance(shape[one.channel_axis], int):
        about = f"classes along axis {one.channel_axis}: the channels of the last {one.maker}"
        return one.channel_axis, about
    return 1, "classes along axis 1 by default; name another by class_axis (--class-axis)"


def _fitting_axis(one: OutputFacts, score: Score, labels: int | None) -> int | None:
    """The only axis with as many classes as there are labels; None if there is not just one."""
    if labels is None or one.shape is None:
        return None
    counts = {labels + (score.class_offset or 0)} | ({1} if labels == 2 else set())
    axes = [axis for axis, extent in enumerate(one.shape) if axis and extent in counts]
    if score.class_axis is not None:
        axes = [axis for axis in axes if axis == score.class_axis % len(one.shape)]
    if labels == 2 and len(one.shape) == 1:
        return 1
    return axes[0] if len(axes) == 1 else None


def _fault(
    one: OutputFacts, score: Score, batches: frozenset[Dim], labels: int | None
) -> str | None:
    """Why an output cannot be scored; None if it can."""
    expected = f"is no {_expected(score)}"
    if one.shape is None or not one.is_float:
        return expected
    rank, linear = len(one.shape), score.kind == "linear"
    if rank < (2 if linear else 1):
        return expected
    if score.kind == "similarity" and not (rank == 2 and isinstance(one.shape[1], int)):
        return expected
    if (moved := _batch_elsewhere(one.shape, batches)) is not None:
        first = f"{one.shape[0]} entries" if one.shape[0] else "others"
        return (
            f"has its batch along axis {moved} and {first} along axis 0 (time first, perhaps); "
            "export the model so that the batch comes first"
        )
    if rank == 1:
        # One logit for each image: what else is there could be a loss, a count, or an anchor.
        single = one.shape[0] in batches and score.class_axis in (None, 1)
        return None if single else expected
    if score.kind in WEIGHTED:
        return None
    axis, _ = _axis(one, score, labels)
    if score.class_axis is not None and not -rank < score.class_axis < rank:
        return expected
    if axis == 0 or not isinstance(one.shape[axis], int):
        return _open_axis(one, axis, batches) or expected
    return None


def _open_axis(one: OutputFacts, axis: int, batches: frozenset[Dim]) -> str | None:
    """What to do about an output whose number of classes is open; None: nothing is known."""
    shape = list(one.shape or ())
    extent = shape[axis] if axis else None
    if not isinstance(extent, str):
        return None
    if extent == shape[0] and extent in batches:
        return (
            "has the batch along both axes, as if it held the classes of as many texts as images: "
            "give example inputs with another number of them; of a file, fix their number with "
            "shapes (--shape)"
        )
    return (
        f"leaves its number of classes open ({extent!r} along axis {axis}): fix the inputs that "
        "decide it, such as the texts, with shapes (--shape)"
    )


def _check_axis(one: OutputFacts, score: Score, labels: int | None) -> None:
    """Refuse an output whose last layer has one channel, unless something shows the classes."""
    shown = score.class_axis is not None or one.softmax_axis or _fitting_axis(one, score, labels)
    if len(one.shape or ()) > 2 and one.channel_axis == 0 and not shown and score.kind != "linear":
        raise ScoreError(
            f"output {one.described} has positions only, no axis of classes; name the axis to "
            "take for classes by class_axis (--class-axis)"
        )


def _batch_elsewhere(shape: Sequence[Dim], batches: frozenset[Dim]) -> int | None:
    """The axis of the batch, if it is certainly not the first one."""
    first = shape[0]
    if not batches or first in batches or first == 1:
        return None
    return next((axis for axis, extent in enumerate(shape) if extent in batches), None)


def _expected(score: Score) -> str:
    by_kind = {"linear": _LINEAR, "similarity": _EMBEDDING}
    expected = by_kind.get(score.kind, _SCORES)
    if score.class_axis not in (None, 1):
        expected += f" with its classes along axis {score.class_axis}"
    return expected


def _listed(outputs: Sequence[OutputFacts]) -> str:
    return ", ".join(one.described for one in outputs)


def check_flat(output: str | None, shape: Sequence[Dim]) -> None:
    """Refuse scores with positions, which are not explained together with other outputs.

    Raises:
        ScoreError: There are some; the message names the output.
    """
    if len(shape) != 2:
        raise ScoreError(
            f"output {output!r} has positions (its scores are {list(shape)}), and several outputs "
            "are explained together only where each is [batch, classes]; leave it out of output, "
            "or export it by itself"
        )


def activation_of(ends_in: str, *, single: bool, linear: bool) -> Activation:
    """The activation that an output shows or that its kind has by default."""
    if ends_in:
        return "sigmoid" if ends_in == "Sigmoid" else "softmax"
    return "sigmoid" if single else "none" if linear else "softmax"
