"""A `Variant` is one of the things to measure: the plain model, or the artifact for some K.

K counts classes, or the boxes of a detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...errors import InputError, SessionError
from ...inputs.score_weights import weights_of_ones
from ...inputs.selection import choose_output
from ...session.session import Model, Session, Tensors
from .floor.saved_graph import SavedGraph, read_graph, save_graph
from .memory import peak_memory
from .profile import Profile
from .profile_file import RUNS, read_profile, start_profile
from .timing import calm

Asked: TypeAlias = Mapping[str | None, Sequence[int]]
"""Classes by the output that they are of (None: the only one); a linear score takes as many
weights, and a detector boxes, of which it measures some K between, too."""
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
        of: The output that the classes are of, where the artifact explains several.
    """

    model: Model
    classes: int | None
    feeds: Tensors
    outputs: list[str]
    threads: int | None
    of: str | None = None

    @property
    def name(self) -> str:
        """``plain``, ``K = 1`` or ``K = 1 of age``."""
        of = f" of {self.of}" if self.of else ""
        return "plain" if self.classes is None else f"K = {self.classes}{of}"

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
    artifact: Session, feeds: Tensors, asked: Asked, threads: int | None
) -> list[Variant]:
    """Return the variants K = 0, and of each output K = 1 and all that is asked for.

    Args:
        artifact: The artifact.
        feeds: The model's inputs by name.
        asked: What to explain of each output.
        threads: Threads within one operator; None: ONNX Runtime's choice.
    """
    spec = artifact.spec
    own = [name for name in artifact.outputs if name not in spec.own_outputs]
    boxes, maps = spec.detector, [layer.heatmap for layer in spec.layers]
    if boxes is not None:
        maps = [boxes.boxes, boxes.heatmap]
    maps += [spec.scores, *([spec.classes] if spec.classes else [])]

    def variant(count: int, output: str | None, index: Sequence[int]) -> Variant:
        request = _selection(artifact, feeds, index[:count], output)
        all_feeds = {**artifact.defaults, **feeds, **request}
        fetched, of = ([*own, *maps], output) if count else (own, None)
        return Variant(artifact, count, all_feeds, fetched, threads, of)

    found = [variant(0, *next(iter(asked.items())))]
    for output, index in asked.items():
        between = [k for k in BETWEEN if boxes is not None and k < len(index)]
        found += [variant(k, output, index) for k in sorted({1, len(index), *between})]
    return found


def _selection(
    artifact: Session, feeds: Tensors, index: Sequence[int], output: str | None
) -> Tensors:
    """The inputs that select what is explained."""
    spec = artifact.spec
    if spec.score_weights is not None:
        return weights_of_ones(artifact, feeds, len(index))
    numbers = np.array([index], np.int64)
    if spec.output_index is not None:
        place = np.array([[choose_output(spec, output)]], np.int64)
        return {spec.selector: numbers, spec.output_index: place}
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
