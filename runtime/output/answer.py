"""An `Answer` is what a model says at one of its outputs, class by class."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs.scores import probabilities, table_of
from ..spec import Spec


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says at one of several outputs.

    Attributes:
        output: The output's name.
        values: Per class, [classes]: the probability; of other scores the score.
        probable: Whether the values are probabilities.
        labels: Names of the classes; the ids as text if the artifact stores no labels.
    """

    output: str
    values: NDArray[np.float32] = field(repr=False)
    probable: bool
    labels: list[str] = field(repr=False)

    def top(self, count: int = 1) -> list[tuple[int, str, float]]:
        """Return the ``count`` best classes: the id, the label and the value of each."""
        best = np.argsort(-self.values, kind="stable")[:count]
        return [(int(i), self.labels[i], float(self.values[i])) for i in best]

    def to_dicts(self, count: int) -> list[dict[str, Any]]:
        """Return the ``count`` best classes for JSON, which lacks NaN and infinity."""
        kind = "probability" if self.probable else "score"
        return [
            {"id": i, "label": label, kind: value if math.isfinite(value) else None}
            for i, label, value in self.top(count)
        ]

    def describe(self) -> str:
        """Describe the best class: ``age: 31 (p = 0.070)``."""
        _, label, value = self.top()[0]
        return f"{self.output}: {label} ({'p =' if self.probable else 'score'} {value:.3f})"


def answer_of(spec: Spec, output: NDArray[np.float32]) -> Answer:
    """Return the answer of the output that ``spec`` is about, for one image's values of it."""
    shares = probabilities(spec.score, output)
    values = table_of(spec.score, output[None])[0] if shares is None else shares
    labels = spec.labels or [str(number) for number in range(len(values))]
    return Answer(spec.score.output, values, shares is not None, labels)
