"""Do two artifacts look at the same place? Their maps of one class, picture by picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ..errors import GraftcamError, ImageError, InputError
from ..explainer import Explainer
from ..inputs.image_files import Pixels
from ..output.explanation import Explanation
from ..output.render import Heatmap, Status, panel

HOT = 0.2
"""Share of a picture that counts as its hottest part."""


@dataclass(frozen=True)
class Change:
    """What two artifacts make of one picture.

    Attributes:
        path: The picture.
        label: The class whose maps are compared: the first artifact's best.
        predicted: What each sees: its best class, or all with a probability above one half
            where classes do not exclude each other.
        status: Of the two maps.
        similarity: Cosine between the two heatmaps over the picture, 0 to 1; 1 where both are
            empty, 0 where one is or one is not finite.
        overlap: Intersection over union of the hottest fifths of the picture.
        shift: Distance between the maxima, in diagonals of the picture; None where a map is empty.
    """

    path: str
    label: str
    predicted: tuple[str, str]
    status: tuple[Status, Status]
    similarity: float
    overlap: float
    shift: float | None


@dataclass(frozen=True)
class Comparison:
    """Two artifacts on many pictures.

    Attributes:
        changes: One entry a picture, the least similar first.
        failed: Pictures that could not be read, with the reason.
    """

    changes: list[Change]
    failed: dict[str, str]

    @property
    def similarity(self) -> float:
        """Mean similarity of the maps."""
        return fmean(change.similarity for change in self.changes)

    @property
    def agreement(self) -> float:
        """Share of pictures for which both artifacts predict the same."""
        return fmean(len(set(change.predicted)) == 1 for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain JSON types."""
        return {
            "pictures": len(self.changes),
            "similarity": self.similarity,
            "agreement": self.agreement,
            "changes": [vars(change) for change in self.changes],
            "failed": self.failed,
        }


class Pair:
    """Two artifacts, asked the same question.

    Attributes:
        first: The artifact that chooses the class.
        second: The other; its class is the one of the same label, or of the same id where one of
            the two stores no labels.
    """

    def __init__(self, first: Explainer, second: Explainer) -> None:
        self.first = first
        self.second = second
        self._by_label = bool(first.spec.labels and second.spec.labels)

    def compare(
        self, paths: Iterable[Path], progress: Callable[[int], None] | None = None
    ) -> Comparison:
        """Compare the two on each picture.

        Args:
            paths: Image files.
            progress: Called with the number of pictures done.

        Raises:
            ImageError: None of the pictures can be read.
            InputError: The second artifact lacks a class of the first.
        """
        changes: list[Change] = []
        failed: dict[str, str] = {}
        for count, path in enumerate(paths, 1):
            try:
                changes.append(_change(self, path, *self.explain(path)))
            except ImageError as error:
                failed[str(path)] = str(error)
            if progress:
                progress(count)
        if not changes:
            reasons = next(iter(failed.values()), "there are none")
            raise ImageError(f"no picture could be compared ({reasons})")
        return Comparison(sorted(changes, key=lambda change: change.similarity), failed)

    def explain(self, path: Path) -> tuple[Explanation, Explanation]:
        """Both explanations of the first artifact's best class; the second's best comes after it.

        Raises:
            ImageError: The picture cannot be read.
            InputError: The second artifact lacks the class.
        """
        found = self.first.explain(path)
        wanted = found.labels[0] if self._by_label else found.classes[0]
        try:
            return found, self.second.explain(path, [wanted, -1])
        except GraftcamError as error:
            if isinstance(error, ImageError):
                raise
            raise InputError(
                f"{self.second.path.name} cannot explain {wanted!r}, which {self.first.path.name} "
                f"sees in {path.name}: {error}"
            ) from error

    def picture(self, change: Change) -> Pixels:
        """Both overlays of one picture beside it."""
        first, second = self.explain(Path(change.path))
        titles = [
            change.label,
            f"{self.first.path.stem}: {change.predicted[0]}",
            f"{self.second.path.stem}: {change.predicted[1]}",
        ]
        return panel([first.image, first.draw(), second.draw()], titles)


def similarity(first: Heatmap, second: Heatmap) -> float:
    """Cosine between two non-negative maps; 1 where both are zero, 0 where one is."""
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if not all(norms):
        return float(norms[0] == norms[1])
    return min(1.0, float(np.vdot(first, second)) / (norms[0] * norms[1]))


def overlap(first: Heatmap, second: Heatmap) -> float:
    """Intersection over union of the hottest `HOT` of two maps of one shape."""
    hot = [one >= np.quantile(one, 1 - HOT) for one in (first, second)]
    hot = [mask & (one > 0) for mask, one in zip(hot, (first, second), strict=True)]
    union = int((hot[0] | hot[1]).sum())
    return int((hot[0] & hot[1]).sum()) / union if union else 1.0


def shift(first: Heatmap, second: Heatmap) -> float | None:
    """Distance between the maxima of two maps [H, W], in diagonals; None where one is zero."""
    if not (first.max() > 0 and second.max() > 0):
        return None
    places = [divmod(int(one.argmax()), one.shape[1]) for one in (first, second)]
    return math.dist(*places) / math.hypot(*first.shape)


def predicted(explainer: Explainer, found: Explanation) -> str:
    """What a model sees on a picture, in words."""
    spec, shares = explainer.spec, found.probabilities
    if shares is None or shares.ndim != 1:
        return found.labels[-1]
    several = spec.score.activation == "sigmoid" and not spec.score.single_logit
    ids = np.flatnonzero(shares > 0.5) if several else [int(shares.argmax())]
    return " + ".join(spec.labels[i] if spec.labels else str(i) for i in ids) or "none"


def _change(pair: Pair, path: Path, first: Explanation, second: Explanation) -> Change:
    status = (first.status[0], second.status[0])
    one, other = first.heatmaps[0], second.heatmaps[0]
    known = "nonfinite" not in status
    return Change(
        str(path),
        first.labels[0],
        (predicted(pair.first, first), predicted(pair.second, second)),
        status,
        similarity(one, other) if known else 0.0,
        overlap(one, other) if known else 0.0,
        shift(one, other),
    )


def most_changed(changes: Sequence[Change], count: int) -> list[Change]:
    """The first ``count`` entries of a comparison that are not the same to three digits."""
    return [change for change in changes[:count] if change.similarity < 0.9995]
