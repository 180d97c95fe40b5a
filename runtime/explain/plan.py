"""Several methods, layers and augmentations of one question, with as few runs as they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.batch import region_input, stored_transform
from ..inputs.region import Region
from ..inputs.score_weights import name_rows, takes_weights
from ..inputs.selection import choose_classes, choose_layers, known
from ..methods.augment import Augment, Change, changes_of, choose_augment
from ..methods.dispatch import ask, check_method, needed, share_options
from ..methods.request import Answer, Progress, Question
from ..methods.rerun import Rerun
from ..methods.table import METHODS
from ..session.session import Session, Tensors
from ..spec import Layer
from .fuse_layers import FUSES, Fuse, fuse
from .request import Request, check_keywords


@dataclass(frozen=True)
class Plan:
    """How a request is answered for every image.

    Attributes:
        selection: What the artifact's selector takes: class ids or ranks, [1, K], or weights.
        methods: The options of each method, by its id.
        layers: The target layers whose maps are fused; usually one.
        fuse: How.
        augment: Changes of the images whose maps are averaged; empty: none.
        rows: Names of the K scores where they are not those of classes.
        region: What the scores are summed over, for all images or for each; see `Request`.
        box: A box that cuts it.
        progress: Called with how many of how many runs are done.
    """

    selection: NDArray[Any]
    methods: Mapping[str, Mapping[str, Any]]
    layers: list[Layer]
    fuse: Fuse = "mean"
    augment: tuple[Augment, ...] = ()
    rows: list[str] | None = None
    region: Region | Sequence[Region | None] | None = None
    box: Sequence[int] | None = None
    progress: Progress | None = None

    @property
    def layer_names(self) -> str:
        """The layers as an explanation names them."""
        names = ", ".join(layer.name for layer in self.layers)
        return names if len(self.layers) == 1 else f"{self.fuse} of {names}"

    def answer(self, question: Question, width: int) -> list[Answer]:
        """Answer a question by each method, in their order.

        Classes, scores and output are those of the plain images. Maps of the augmented ones are
        averaged raw, layer by layer, before layers are fused. One run of the artifact serves all
        methods that are made of its tensors.

        Args:
            question: About the plain images; its layer is not looked at.
            width: The axis of columns in the input that takes the images.

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
            maps = fuse(means, self.fuse, METHODS[method].is_signed(options))
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


def make_plan(session: Session, request: Request, methods: Sequence[str] | None = None) -> Plan:
    """Check a request against an artifact, and plan how to answer it.

    Args:
        session: The artifact.
        request: What is asked.
        methods: Several methods in place of the request's one.

    Raises:
        TypeError: A keyword is unknown.
        ClassError: A class or ``top`` is out of range, or a label unknown.
        ImageError: The artifact stores no preprocessing.
        InputError: An unknown method, option, layer, way to fuse, or augmentation; weights that do
            not fit; a region where there are no positions; or a model that takes more than images.
    """
    check_keywords(request)
    options = request.get("options") or {}
    if methods is None:
        method = request.get("method", "gradcam")
        wanted = {check_method(method, options): options}
    else:
        if "method" in request:
            raise TypeError("compare() takes a list of methods; leave method= out")
        wanted = share_options(methods, options)
    classes, weights = request.get("classes"), request.get("score_weights")
    rows, spec = None, session.spec
    if takes_weights(session, weights, classes):
        rows, selection = name_rows(session, weights)
    else:
        selection = np.array([choose_classes(spec, classes, request.get("top", 1))], np.int64)
    how = request.get("fuse", "mean")
    known("way to fuse", how, FUSES)
    layers = choose_layers(spec, request.get("layer"))
    augment = choose_augment(request.get("augment", False))
    stored_transform(session)
    region, box = request.get("region"), request.get("box")
    if region is not None or box is not None:
        region_input(session)
    return Plan(selection, wanted, layers, how, augment, rows, region, box, request.get("progress"))


def _checked(answer: Answer, layer: Layer) -> Answer:
    if answer.maps.ndim != 4:
        raise InputError(f"layer '{layer.name}' has no two-dimensional maps; use run()")
    return answer


def _part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """What to tell in one of several equal parts, so that all together count up once."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, parts * total)
