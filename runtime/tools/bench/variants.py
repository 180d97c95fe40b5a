"""A `Variant` is one of the things to measure: the plain model, or the artifact with K classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...inputs.score_weights import weights_of_ones
from ...session.session import Model, Session, Tensors
from .memory import peak_memory
from .profile import RUNS, Profile, read_profile, start_profile
from .timing import calm


@dataclass(frozen=True)
class Variant:
    """One variant of running the model; a call runs it.

    Attributes:
        model: The opened file.
        classes: Number of explained classes; None: the plain model.
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

    def profile(self, folder: Path) -> Profile:
        """Return ONNX Runtime's profile; its file is written to ``folder``."""

        def configure(options: Any) -> None:
            calm(options)
            start_profile(options, folder / "profile")

        model = Model(self.model.path, [self.model.provider], self.threads, configure)
        for _ in range(RUNS):
            model.run(self.feeds, self.outputs)
        return read_profile(model.end_profiling())

    def peak_memory(self) -> int | None:
        """Return its peak memory in a new process; see `peak_memory`."""
        return peak_memory(
            self.model.path, self.feeds, self.outputs, self.model.provider, self.threads
        )


def explained(
    artifact: Session, feeds: Tensors, index: Sequence[int], threads: int | None
) -> list[Variant]:
    """Return the variants K = 0, K = 1 and all classes of ``index`` (or as many weights)."""
    spec = artifact.spec
    added = {spec.classes, spec.scores, *spec.of_input.values()}
    for layer in spec.layers:
        added |= set(layer.outputs)
    own = [name for name in artifact.outputs if name not in added]
    maps = [spec.scores, *(layer.heatmap for layer in spec.layers)]
    maps += [spec.classes] if spec.classes else []

    def variant(classes: int) -> Variant:
        if spec.score_weights is None:
            selection = {spec.selector: np.array([index[:classes]], np.int64)}
        else:
            selection = weights_of_ones(artifact, feeds, classes)
        all_feeds = {**artifact.defaults, **feeds, **selection}
        return Variant(artifact, classes, all_feeds, [*own, *maps] if classes else own, threads)

    return [variant(classes) for classes in sorted({0, 1, len(index)})]


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
