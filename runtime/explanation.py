"""What an explanation holds, and how it is shown, saved and summarised."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ClassError
from .images import Picture
from .preprocess import Placement
from .render import Heatmap, Status, normalise, overlay, project, write_image


@dataclass(frozen=True, eq=False)
class Explanation:
    """One picture, the model's answer to it, and where each explained class was seen.

    Attributes:
        image: The picture, RGB uint8 [H, W, 3].
        name: The picture file's name without suffix, or ``image``.
        output: The model's own output for it: logits or probabilities.
        probabilities: Per class, [classes]; None where scores are no classification.
        classes: Ids of the K explained classes.
        labels: Their names; the ids as text where the artifact stores none.
        scores: Their scores, float32 [K].
        maps: Their raw maps, [K, h, w]: comparable between classes and pictures.
        status: Per class ``ok``, ``zero`` (no evidence found) or ``nonfinite`` (the model's
            arithmetic overflowed); the heatmaps of the last two are zero.
        layer: The target layer.
        method: How the maps were made.
        placement: Where the model's input lies in the picture.
        region: Weights of the output's positions that the scores were summed with, float32
            [*positions]; None: all of them, or an output without positions.
        measures: What the method measured about its maps, by name: floats [K].
    """

    image: Picture = field(repr=False)
    name: str
    output: NDArray[Any] = field(repr=False)
    probabilities: NDArray[Any] | None = field(repr=False)
    classes: list[int]
    labels: list[str]
    scores: NDArray[np.float32]
    maps: NDArray[np.float32] = field(repr=False)
    status: list[Status]
    layer: str
    method: str
    placement: Placement
    region: NDArray[np.float32] | None = field(default=None, repr=False)
    measures: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    @cached_property
    def heatmaps(self) -> Heatmap:
        """The maps over the picture, float32 [K, H, W] in [0, 1], each relative to its own maximum.

        They undo resize and crop; where the model did not see the picture they are 0.
        """
        shape = (len(self.classes), *self.placement.picture)
        drawn = [self._heatmap(position) for position in range(len(self.classes))]
        return np.stack(drawn) if drawn else np.zeros(shape, np.float32)

    def overlay(self, which: int | str = 0, alpha: float = 0.5, colormap: str = "jet") -> Picture:
        """Draw one class's heatmap over the picture: RGB uint8 [H, W, 3].

        Args:
            which: Its position in ``classes``, or its label.
            alpha: Share of the colour where the heatmap is 1; it fades out with the heatmap.
            colormap: A colormap of OpenCV: jet, turbo, viridis, inferno...

        Raises:
            ClassError: The explanation has no such class.
            RenderError: ``alpha`` or ``colormap`` is none.
        """
        return overlay(self.image, self._heatmap(self._position(which)), alpha, colormap)

    def save(
        self,
        target: str | Path,
        which: int | str | None = None,
        alpha: float = 0.5,
        colormap: str = "jet",
    ) -> list[Path]:
        """Write overlays and return their paths; each file appears whole or not at all.

        Args:
            target: A picture file (``out.png``; several classes become ``out-<class>.png``), or a
                folder, which gets ``<picture>-<class>.png``.
            which: The class, as for ``overlay``; None: all of them.
            alpha: As for ``overlay``.
            colormap: As for ``overlay``.

        Raises:
            ClassError: The explanation has no such class.
            RenderError: A file cannot be written, or as ``overlay``.
        """
        target = Path(target)
        positions = range(len(self.classes)) if which is None else [self._position(which)]
        paths: list[Path] = []
        for position in positions:
            tag = _slug(self.labels[position])
            if not target.suffix or target.is_dir():
                path = target / f"{self.name}-{tag}.png"
            else:
                lone = len(positions) == 1
                path = target if lone else target.with_stem(f"{target.stem}-{tag}")
            if path in paths:  # a class asked for twice, or labels that differ in signs only
                path = path.with_stem(f"{path.stem}-{position}")
            paths.append(write_image(path, self.overlay(position, alpha, colormap)))
        return paths

    def to_dict(self) -> dict[str, Any]:
        """Summarise for JSON; numbers that JSON lacks (NaN, infinity) become None."""
        return {
            "name": self.name,
            "width": self.placement.picture[1],
            "height": self.placement.picture[0],
            "layer": self.layer,
            "method": self.method,
            "classes": [self._summary(position) for position in range(len(self.classes))],
        }

    def _summary(self, position: int) -> dict[str, Any]:
        share = None
        if self.probabilities is not None and self.probabilities.ndim == 1:
            share = _finite(self.probabilities[self.classes[position]])
        raw = self.maps[position]
        return {
            "id": self.classes[position],
            "label": self.labels[position],
            "score": _finite(self.scores[position]),
            "probability": share,
            "status": self.status[position],
            "map_maximum": _finite(raw.max()) if raw.size else None,
            **{name: _finite(values[position]) for name, values in self.measures.items()},
        }

    def _heatmap(self, position: int) -> Heatmap:
        return project(normalise(self.maps[position]), self.placement)

    def _position(self, which: int | str) -> int:
        """Position in ``classes`` of a position or label."""
        positions = self.labels if isinstance(which, str) else range(len(self.classes))
        if which not in positions:
            raise ClassError(
                f"no explained class {which!r}; explained are {self.labels}, "
                f"by position 0 to {len(self.classes) - 1}"
            )
        return self.labels.index(which) if isinstance(which, str) else which


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _slug(label: str) -> str:
    """A label as part of a file name."""
    words = "".join(c if c.isalnum() else " " for c in label).split()
    return "-".join(words)[:40] or "class"
