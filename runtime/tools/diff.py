"""`Pair` compares where two artifacts look, by their maps of one class for each image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""Share of an image that counts as its hottest part."""


@dataclass(frozen=True)
class Change:
    """The comparison of two artifacts on one image.

    Attributes:
        path: The image.
        label: The class whose maps are compared: the first artifact's best.
        predicted: The prediction of each: its best class or, if classes do not exclude each other,
            all with a probability above one half.
        status: Status of the two maps.
        similarity: Cosine between the two heatmaps over the image, 0 to 1; 1 if both are
            empty, 0 if one is empty or not finite.
        overlap: Intersection over union of the hottest fifths of the image.
        shift: Distance between the maxima, in diagonals of the image; None if a map is empty.
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
    """The comparison of two artifacts on many images.

    Attributes:
        changes: One entry for each image (of detectors for each box), the least similar first.
        failed: Images that could not be read, with the reason.
        subject: What an entry is about: ``image`` or ``box``.
    """

    changes: list[Change]
    failed: dict[str, str]
    subject: str = "image"

    @property
    def counted(self) -> str:
        """The number of entries with its noun."""
        count = len(self.changes)
        several = {"image": "images", "box": "boxes"}
        return f"{count} {self.subject if count == 1 else several[self.subject]}"

    @property
    def similarity(self) -> float:
        """Mean similarity of the maps."""
        return fmean(change.similarity for change in self.changes)

    @property
    def agreement(self) -> float:
        """Share of entries for which both artifacts predict the same."""
        return fmean(len(set(change.predicted)) == 1 for change in self.changes)

    def below(self, least: float) -> list[str]:
        """Say which of the two figures do not reach ``least``."""
        figures = {
            "similarity of the maps": self.similarity,
            "agreement of the predictions": self.agreement,
        }
        low = {what: value for what, value in figures.items() if value < least}
        return [f"{what} {value:.3f} is below {least:.3f}" for what, value in low.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON types."""
        return {
            **({"images": len(self.changes)} if self.subject == "image" else {}),
            **({"boxes": len(self.changes)} if self.subject == "box" else {}),
            "similarity": self.similarity,
            "agreement": self.agreement,
            "changes": [vars(change) for change in self.changes],
            "failed": self.failed,
        }


class Pair:
    """Two artifacts that get the same requests.

    Attributes:
        first: The artifact that chooses the class.
        second: The other; its class has the same label, or the same id if one of the two stores no
            labels. Of several classes with that label it is the one at the same place among them.
        inputs: Values of further inputs, for both.
    """

    subject = "image"
    nothing = "there are none"

    def __init__(
        self, first: Explainer, second: Explainer, inputs: Mapping[str, Any] | None = None
    ) -> None:
        self.first = first
        self.second = second
        self.inputs = inputs

    def compare(
        self, paths: Iterable[Path], progress: Callable[[int], None] | None = None
    ) -> Comparison:
        """Compare the two on each image.

        Args:
            paths: Image files.
            progress: Called with the number of finished images.

        Raises:
            ImageError: None of the images can be read.
            InputError: The second artifact lacks a class of the first.
        """
        changes: list[Change] = []
        failed: dict[str, str] = {}
        for count, path in enumerate(paths, 1):
            try:
                changes += self.changes(path)
            except ImageError as error:
                failed[str(path)] = str(error)
            if progress:
                progress(count)
        if not changes:
            reasons = next(iter(failed.values()), self.nothing)
            raise ImageError(f"no image could be compared ({reasons})")
        return Comparison(sorted(changes, key=lambda change: change.similarity), failed,
                          self.subject)  # fmt: skip

    def changes(self, path: Path) -> list[Change]:
        """Compare the two on one image; the errors are those of `explain`."""
        found, other = self.explain(path)
        predictions = self.predicted(self.first, found), self.predicted(self.second, other)
        return [change_of(path, found.labels[0], predictions, (found, 0), (other, 0))]

    def explain(self, path: Path) -> tuple[Explanation, Explanation]:
        """Explain the first artifact's best class with both; the second adds its own best class.

        Raises:
            ImageError: The image cannot be read.
            InputError: The second artifact lacks the class.
        """
        try:
            found = self.explain_first(path)
        except InputError as error:  # a file of an array that the model does not take
            raise ImageError(str(error)) from error
        best = self._class_of_second(found)
        try:
            return found, self.explain_second(path, best)
        except GraftcamError as error:
            if isinstance(error, ImageError):
                raise
            raise InputError(
                f"{self.second.path.name} cannot explain {best!r}, which {self.first.path.name} "
                f"predicts for {path.name}: {error}"
            ) from error

    def explain_first(self, path: Path) -> Explanation:
        """Explain the first artifact's best class."""
        return self.first.explain(path, inputs=self.inputs)

    def explain_second(self, path: Path, best: int | str) -> Explanation:
        """Explain that class with the second artifact, and its own best class behind it."""
        return self.second.explain(path, [best, -1], inputs=self.inputs)

    def labels_of(self, explainer: Explainer) -> Sequence[str] | None:
        """The names of an artifact's classes, by id."""
        return explainer.spec.labels

    def predicted(self, explainer: Explainer, found: Explanation) -> str:
        """Return the labels that a model predicts for an image, as text."""
        spec, shares = explainer.spec, found.probabilities
        if shares is None or shares.ndim != 1:
            return found.labels[-1]
        several = spec.score.activation == "sigmoid" and not spec.score.single_logit
        ids = np.flatnonzero(shares > 0.5) if several else [int(shares.argmax())]
        return " + ".join(_named(self.labels_of(explainer), int(i)) for i in ids) or "none"

    def _class_of_second(self, found: Explanation) -> int | str:
        """The second artifact's class for the first one's; a label that it lacks."""
        labels, others = self.labels_of(self.first), self.labels_of(self.second)
        number = found.classes[0]
        if not labels or not others:
            return number
        label = labels[number]
        places = [place for place, other in enumerate(others) if other == label]
        rank = labels[:number].count(label)
        return places[rank] if rank < len(places) else label

    def image(self, change: Change) -> Pixels:
        """Draw an image and its two overlays side by side; wide drawings below each other."""
        first, second = self.explain(Path(change.path))
        titles = [
            change.label,
            f"{self.first.path.stem}: {change.predicted[0]}",
            f"{self.second.path.stem}: {change.predicted[1]}",
        ]
        images = [first.image, first.draw(), second.draw()]
        if first.view.own_row:
            return panel(images, titles, first.image.shape[0], columns=1)
        return panel(images, titles)


def similarity(first: Heatmap, second: Heatmap) -> float:
    """Return the cosine between two non-negative maps; 1 if both are zero, 0 if one is."""
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if not all(norms):
        return float(norms[0] == norms[1])
    return min(1.0, float(np.vdot(first, second)) / (norms[0] * norms[1]))


def overlap(first: Heatmap, second: Heatmap) -> float:
    """Return the intersection over union of the hottest `HOT` of two maps of one shape."""
    hot = [(one >= np.quantile(one, 1 - HOT)) & (one > 0) for one in (first, second)]
    union = int((hot[0] | hot[1]).sum())
    return int((hot[0] & hot[1]).sum()) / union if union else 1.0


def shift(first: Heatmap, second: Heatmap) -> float | None:
    """Return the distance between the maxima of two maps of one shape, in diagonals.

    None if one is zero.
    """
    if not (first.max() > 0 and second.max() > 0):
        return None
    places = [np.unravel_index(int(one.argmax()), one.shape) for one in (first, second)]
    return math.dist(*places) / math.hypot(*first.shape)


def _named(labels: Sequence[str] | None, number: int) -> str:
    """A class's label; with its id where another class has that label, too."""
    if not labels:
        return str(number)
    twin = labels.count(labels[number]) > 1
    return f"{labels[number]} ({number})" if twin else labels[number]


def change_of(
    path: Path,
    label: str,
    predictions: tuple[str, str],
    first: tuple[Explanation, int],
    second: tuple[Explanation, int],
) -> Change:
    """Compare two maps, each given by its explanation and position."""
    (found, place), (other, there) = first, second
    status = (found.status[place], other.status[there])
    one, two = found.heatmaps[place], other.heatmaps[there]
    finite = "nonfinite" not in status
    return Change(
        str(path),
        label,
        predictions,
        status,
        similarity(one, two) if finite else 0.0,
        overlap(one, two) if finite else 0.0,
        shift(one, two),
    )


def most_changed(changes: Sequence[Change], count: int) -> list[Change]:
    """Return the first ``count`` entries of a comparison, without those equal to three digits."""
    return [change for change in changes[:count] if change.similarity < 0.9995]
