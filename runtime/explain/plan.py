"""Several methods, layers and augmentations of one question, with as few runs as they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.score_weights import ScoreWeights, name_rows, takes_weights
from ..inputs.selection import Classes, choose_classes, choose_layers, known
from ..methods.augment import Augment, Change, changes_of, choose_augment
from ..methods.dispatch import ask, needed, signed
from ..methods.request import Answer, Progress, Question
from ..methods.rerun import Rerun
from ..session.session import Session, Tensors
from ..spec import Layer
from .fuse_layers import FUSES, Fuse, fuse


@dataclass(frozen=True)
class Plan:
    """What to ask about every picture, and how to make its maps.

    Attributes:
        selection: What the artifact's selector takes: class ids or ranks, [1, K], or weights.
        methods: The options of each method, by its id.
        layers: The target layers whose maps are fused; usually one.
        fuse: How.
        augment: Changes of the pictures whose maps are averaged; empty: none.
        rows: Names of the K scores where they are not those of classes.
    """

    selection: NDArray[Any]
    methods: Mapping[str, Mapping[str, Any]]
    layers: list[Layer]
    fuse: Fuse = "mean"
    augment: tuple[Augment, ...] = ()
    rows: list[str] | None = None

    @property
    def layer_names(self) -> str:
        """The layers as an explanation names them."""
        names = ", ".join(layer.name for layer in self.layers)
        return names if len(self.layers) == 1 else f"{self.fuse} of {names}"

    def answer(self, question: Question, width: int) -> list[Answer]:
        """Answer a question by each method, in their order.

        Classes, scores and output are those of the plain pictures. Maps of the augmented ones are
        averaged raw, layer by layer, before layers are fused. One run of the artifact serves all
        methods that are made of its tensors.

        Args:
            question: About the plain pictures; its layer is not looked at.
            width: The axis of columns in the input that takes the pictures.

        Raises:
            InputError: The artifact lacks what a method needs, or a layer's maps are not
                two-dimensional.
            SessionError: ONNX Runtime failed.
        """
        parts = 1 + len(changes_of(self.augment))
        plain = self._ask(replace(question, progress=_part(question.progress, 0, parts)))
        stacks = [[[answer.maps] for answer in answers] for answers in plain]
        for change, changed in self._augmented(question, plain[0][0].classes, width):
            for stack, answers in zip(stacks, self._ask(changed), strict=True):
                for maps, answer in zip(stack, answers, strict=True):
                    maps.append(change.restore(answer.maps))
        found: list[Answer] = []
        for (method, options), stack, answers in zip(
            self.methods.items(), stacks, plain, strict=True
        ):
            means = [np.mean(maps, axis=0) for maps in stack]
            maps = fuse(means, self.fuse, signed(method, options))
            found.append(replace(answers[0], maps=maps))
        return found

    def _augmented(
        self, question: Question, classes: NDArray[np.int64], width: int
    ) -> Iterator[tuple[Change, Question]]:
        """The changes, each with the question about the changed images and the same classes."""
        changes, names, spec = (
            changes_of(self.augment),
            self._names(question),
            question.session.spec,
        )
        feeds = dict(question.feeds)
        if spec.class_index is not None:
            feeds[spec.class_index] = classes
        rerun = Rerun(question.session, question.input, feeds)

        def changed(part: slice) -> Tensors:
            found = [change.apply(question, width) for change in changes[part]]
            return {name: np.stack([one[name] for one in found]) for name in found[0]}

        found = rerun.outputs(len(changes), changed, names) if names else repeat(Tensors())
        for number, (change, got) in enumerate(zip(changes, found, strict=False), start=1):
            progress = _part(question.progress, number, 1 + len(changes))
            own = {**feeds, **change.apply(question, width)}
            yield change, replace(question, feeds=own, progress=progress).knowing(got)

    def _ask(self, question: Question) -> list[list[Answer]]:
        """Each layer's answer by each method: a list for each method."""
        question.fetch(self._names(question))
        return [
            [_checked(ask(question.at(layer), method, options), layer) for layer in self.layers]
            for method, options in self.methods.items()
        ]

    def _names(self, question: Question) -> list[str]:
        """Outputs that the methods made of tensors read; none where there are no such methods."""
        names = dict.fromkeys(
            name
            for method, options in self.methods.items()
            for layer in self.layers
            for name in needed(layer, method, options)
        )
        return [*dict.fromkeys([*question.answers, *names])] if names else []


def make_plan(
    session: Session,
    classes: Classes,
    top: int,
    score_weights: ScoreWeights | None,
    methods: Mapping[str, Mapping[str, Any]],
    layer: str | Sequence[str] | None,
    fuse: Fuse,
    augment: bool | str | Sequence[str],
) -> Plan:
    """The plan that a caller asks for in words.

    Raises:
        ClassError: A class or ``top`` is out of range, or a label unknown.
        InputError: An unknown layer, way to fuse, or augmentation, or weights that do not fit.
    """
    rows, spec = None, session.spec
    if takes_weights(session, score_weights, classes):
        rows, selection = name_rows(session, score_weights)
    else:
        selection = np.array([choose_classes(spec, classes, top)], np.int64)
    known("way to fuse", fuse, FUSES)
    layers = choose_layers(spec, layer)
    return Plan(selection, methods, layers, fuse, choose_augment(augment), rows)


def _checked(answer: Answer, layer: Layer) -> Answer:
    if answer.maps.ndim != 4:
        raise InputError(f"layer '{layer.name}' has no two-dimensional maps; use run()")
    return answer


def _part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """What to tell in one of several equal parts, so that all together count up once."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, parts * total)
