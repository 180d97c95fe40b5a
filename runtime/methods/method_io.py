"""A method takes a `MethodInput`, one batch of images at one layer, and gives a `MethodOutput`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session.heads import Head, Heads
from ..session.session import Session, Tensors
from ..spec import Layer

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MethodInput:
    """One batch of images and the classes to explain, with the session that runs them.

    Attributes:
        session: The artifact.
        feeds: All its inputs by name: the images, [N, ...], the classes, [N or 1, K] (or the
            weights, [1, K, *output]; see `Spec.selector`), and the region if there is one.
        input: Name of the input that takes the images.
        layer: The target layer.
        progress: Methods with many session runs call it with the number of finished runs and of
            all runs.
        heads: Heads of the artifact's layers, for methods that rerun them.
    """

    session: Session
    feeds: Tensors
    input: str
    layer: Layer
    progress: Progress | None = None
    heads: Heads | None = None
    _fetched: Tensors = field(
        init=False, repr=False, compare=False, default_factory=dict[str, NDArray[Any]]
    )

    def fetch(self, names: Iterable[str]) -> Tensors:
        """Return outputs by name, from a run on ``feeds`` or from the cache of earlier ones."""
        names = list(names)
        missing = [name for name in names if name not in self._fetched]
        if missing:
            self._fetched.update(self.session.run(self.feeds, missing))
        return {name: self._fetched[name] for name in names}

    def at_layer(self, layer: Layer) -> MethodInput:
        """Return the same batch at another layer, with a copy of the cache."""
        return replace(self, layer=layer).with_fetched(self._fetched)

    def with_fetched(self, fetched: Tensors) -> MethodInput:
        """Add outputs of a run on ``feeds`` to the cache and return this batch."""
        self._fetched.update(fetched)
        return self

    def head(self) -> Head:
        """Return the head of the target layer.

        Raises:
            InputError: It is missing, or belongs to another model; see `Heads.of`.
            SessionError: ONNX Runtime cannot load it.
        """
        if self.heads is None:
            raise InputError("the method reruns a layer's head; use Explainer.explain")
        return self.heads.of(self.layer, self.session.spec.place)

    @property
    def common_outputs(self) -> list[str]:
        """Names of the artifact's outputs that every method fetches."""
        spec = self.session.spec
        names = dict.fromkeys([*spec.output_names, spec.classes, spec.scores])
        return [name for name in names if name is not None]

    def output(
        self, got: Tensors, maps: NDArray[Any], measures: Mapping[str, NDArray[Any]] | None = None
    ) -> MethodOutput:
        """Make the method's output from `common_outputs`, fetched in ``got``, and its maps."""
        spec = self.session.spec
        scores = got[spec.scores].astype(np.float32, copy=False)
        if spec.classes is None:
            classes = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        else:
            classes = got[spec.classes]
        own = {name: got[name] for name in spec.output_names} if spec.outputs else {}
        return MethodOutput(
            maps.astype(np.float32, copy=False), got[spec.score.output], classes, scores,
            dict(measures or {}), own,
        )  # fmt: skip


@dataclass(frozen=True)
class MethodOutput:
    """The maps of one batch, with the classes and scores that they belong to.

    Attributes:
        maps: Raw maps, float32 [N, K, *space]; ``space`` covers the model's input.
        model_output: The model's own scored output, [N, ...].
        classes: The explained classes, int64 [N, K]; for a linear score the rows of its weights.
        scores: Their scores, float32 [N, K].
        measures: Numbers that the method measured about its maps, by name: floats [N, K].
        by_output: All outputs that the artifact explains, by name, if there are several.
    """

    maps: NDArray[np.float32]
    model_output: NDArray[Any]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    measures: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    by_output: Tensors = field(default_factory=dict[str, NDArray[Any]])
