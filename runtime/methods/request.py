"""What is asked about the images of one session run, and what comes back."""

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
class Question:
    """Images, as the artifact takes them, and the classes to explain.

    Attributes:
        session: The artifact.
        feeds: All that it is fed, by name: the images, [N, ...], the classes, [1, K] (or the
            weights, [1, K, *output]; see `Spec.selector`), and the region where there is one.
        input: Name of the input that takes the images.
        layer: The target layer.
        progress: Called with how many of how many session runs are done, by methods that take many.
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
        """Outputs by name, of a run on ``feeds``; what has been fetched is not run for again."""
        wanted = list(names)
        missing = [name for name in wanted if name not in self._fetched]
        if missing:
            self._fetched.update(self.session.run(self.feeds, missing))
        return {name: self._fetched[name] for name in wanted}

    def at(self, layer: Layer) -> Question:
        """The same question about another layer; it knows what has been fetched already."""
        return replace(self, layer=layer).knowing(self._fetched)

    def knowing(self, fetched: Tensors) -> Question:
        """This question, which has ``fetched`` these outputs of a run on its ``feeds``."""
        self._fetched.update(fetched)
        return self

    def head(self) -> Head:
        """The head of the target layer.

        Raises:
            InputError: It is not there, or another model's; see `Heads.of`.
            SessionError: ONNX Runtime cannot load it.
        """
        if self.heads is None:
            raise InputError("the method reruns a layer's head; ask through Explainer")
        return self.heads.of(self.layer)

    @property
    def answers(self) -> list[str]:
        """Names of the outputs that every answer holds."""
        spec = self.session.spec
        names = dict.fromkeys([spec.score.output, spec.classes, spec.scores])
        return [name for name in names if name is not None]

    def answer(
        self, got: Tensors, maps: NDArray[Any], measures: Mapping[str, NDArray[Any]] | None = None
    ) -> Answer:
        """An answer from a run that fetched ``answers``, and the maps made of it."""
        spec = self.session.spec
        scores = got[spec.scores].astype(np.float32, copy=False)
        if spec.classes is None:
            classes = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        else:
            classes = got[spec.classes]
        return Answer(
            maps.astype(np.float32, copy=False), got[spec.score.output], classes, scores,
            dict(measures or {}),
        )  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the artifact answers.

    Attributes:
        maps: Raw maps, float32 [N, K, *space]; ``space`` covers the model's input.
        output: The model's own scored output, [N, ...].
        classes: The explained classes, int64 [N, K]; for a linear score the rows of its weights.
        scores: Their scores, float32 [N, K].
        measures: What the method measured about its maps, by name: floats [N, K].
    """

    maps: NDArray[np.float32]
    output: NDArray[Any]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    measures: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
