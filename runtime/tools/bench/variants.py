"""A `Variant` is one of the things to measure: the plain model, or the artifact for some K.

K counts classes, or the boxes of a detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, SessionError
from ...inputs.score_weights import weights_of_ones
from ...session.session import Model, Session, Tensors
from .floor.saved_graph import SavedGraph, read_graph, save_graph
from .memory import peak_memory
from .profile import Profile
from .profile_file import RUNS, read_profile, start_profile
from .timing import calm

BOXES = 16
"""Number of a detector's boxes that are measured by default."""
BETWEEN = (4,)


@dataclass(frozen=True)
class Variant:
    """One variant of running the model; a call runs it.

    Attributes:
        model: The opened file.
        classes: Number of explained classes or boxes; None: the plain model.
        feeds: Its inputs.
        outputs: The outputs that a caller would fetch; no gradients.
        threads: Threads within one operator; None: ONNX Runtime's choice.
    """

    model: Model
    classes: int | None
    feeds: Tensors
    outputs: list[str]
    threads: int | None

    @property
    def name(self) -> str:
        """``plain`` or ``K = 1``."""
        return "plain" if self.classes is None else f"K = {self.classes}"

    def __call__(self) -> Tensors:
        """Run once."""
        return self.model.run(self.feeds, self.outputs)

    def profile(self, folder: Path, graph: Path | None = None) -> Profile:
        """Return ONNX Runtime's profile; its file is written to ``folder``.

        Args:
            folder: An empty folder.
            graph: A file in it, to which ONNX Runtime saves the graph that it optimised.
        """

        def configure(options: Any) -> None:
            calm(options)
            start_profile(options, folder / "profile")
            if graph is not None:
                save_graph(options, graph)

        model = Model(self.model.path, [self.model.provider], self.threads, configure)
        for _ in range(RUNS):
            model.run(self.feeds, self.outputs)
        return read_profile(model.end_profiling())

    def profile_and_graph(self, folder: Path) -> tuple[Profile, SavedGraph | None]:
        """Return the profile, and the graph as ONNX Runtime optimised it for the same run.

        Some execution providers compile nodes, which cannot be saved; then there is no graph.
        """
        path = folder / "optimized.onnx"
        try:
            profile = self.profile(folder, path)
        except SessionError:
            return self.profile(folder), None
        return profile, read_graph(path)

    def peak_memory(self) -> int | None:
        """Return its peak memory in a new process; see `peak_memory`."""
        return peak_memory(
            self.model.path, self.feeds, self.outputs, self.model.provider, self.threads
        )


def explained(
    artifact: Session, feeds: Tensors, index: Sequence[int], threads: int | None
) -> list[Variant]:
    """Return the variants K = 0, K = 1 and all of ``index``.

    Args:
        artifact: The artifact.
        feeds: The model's inputs by name.
        index: Classes, of which a linear score takes as many weights; of a detector boxes, for
            which some K between are measured, too.
        threads: Threads within one operator; None: ONNX Runtime's choice.
    """
    spec = artifact.spec
    own = [name for name in artifact.outputs if name not in spec.own_outputs]
    if spec.detector is not None:
        maps = [spec.detector.boxes, spec.detector.heatmap]
        counts = {0, 1, len(index), *(k for k in BETWEEN if k < len(index))}
    else:
        maps, counts = [layer.heatmap for layer in spec.layers], {0, 1, len(index)}
    maps += [spec.scores, *([spec.classes] if spec.classes else [])]

    def variant(count: int) -> Variant:
        all_feeds = {**artifact.defaults, **feeds, **_selection(artifact, feeds, index[:count])}
        return Variant(artifact, count, all_feeds, [*own, *maps] if count else own, threads)

    return [variant(count) for count in sorted(counts)]


def _selection(artifact: Session, feeds: Tensors, index: Sequence[int]) -> Tensors:
    """The inputs that select what is explained."""
    spec = artifact.spec
    if spec.score_weights is not None:
        return weights_of_ones(artifact, feeds, len(index))
    numbers = np.array([index], np.int64)
    if spec.detector is None:
        return {spec.selector: numbers}
    best = np.full(numbers.shape, -1, np.int64)  # each box's best class
    return {spec.detector.box_index: numbers, spec.selector: best}


def plain(path: Path, prediction: Variant, added: Sequence[str]) -> Variant:
    """Return the variant of the model without explanation.

    Args:
        path: Its file. Its inputs are the artifact's, by name or in their order.
        prediction: The artifact with K = 0, whose inputs it gets.
        added: Inputs of the artifact that it does not have.

    Raises:
        InputError: It has other inputs, or outputs of other shapes.
    """
    artifact = prediction.model
    model = Model(path, [artifact.provider], prediction.threads, calm)
    feeds = {name: value for name, value in prediction.feeds.items() if name not in added}
    names = [name for name, port in model.inputs.items() if port.required]
    remedy = f"compare with the model that {artifact.path.name} was made from"
    if len(names) != len(feeds):
        raise InputError(f"{path.name} takes {names}, not {list(feeds)}; {remedy}")
    sources = names if set(names) == set(feeds) else list(feeds)
    given = {name: feeds[source] for name, source in zip(names, sources, strict=True)}
    variant = Variant(model, None, given, list(model.outputs), prediction.threads)
    for name, value in given.items():
        try:
            model.inputs[name].check(value)
        except InputError as error:
            raise InputError(f"{path.name}: {error}; {remedy}") from None
    shapes, expected = _shapes(variant), _shapes(prediction)
    if shapes != expected:
        raise InputError(f"{path.name} gives {shapes}, {artifact.path.name} {expected}; {remedy}")
    return variant


def _shapes(variant: Variant) -> list[list[int]]:
    return [list(value.shape) for value in variant().values()]
