"""What is asked about the pictures of one session run, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .heads import Head, Heads
from .session import Session, Tensors
from .spec import Layer

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Question:
    """Pictures, as the artifact takes them, and the classes to explain.

    Attributes:
        session: The artifact.
        feeds: All that it is fed, by name: the pictures, [N, ...], the classes, [1, K] (or the
            weights, [1, K, *output]; see `Spec.selector`), and the region where there is one.
        input: Name of the input that takes the pictures.
        layer: The target layer.
        progress: Told how many of how many session runs are done, by methods that take many.
        heads: Heads of the artifact's layers, for methods that rerun them.
    """

    session: Session
    feeds: Tensors
    input: str
    layer: Layer
    progress: Progress | None = None
    heads: Heads | None = None

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
    """What the artifact says to a question.

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
