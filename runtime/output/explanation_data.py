"""`ExplanationData` has the attributes of an explanation."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ..errors import ClassError, PositionError
from ..inputs.image_files import Pixels
from ..inputs.preprocess import Placement
from . import render


@dataclass(frozen=True, eq=False)
class ExplanationData:
    """One image, the model's output for it, and a map for each explained class.

    Attributes:
        image: The image, RGB uint8 [H, W, 3].
        name: The image file's name without suffix, or ``image``.
        output: The model's own output: logits or probabilities.
        probabilities: Per class, [classes]; None if the scores are not those of a classification.
        classes: Ids of the K explained classes.
        labels: Their names; the ids as text if the artifact stores no labels.
        scores: Their scores, float32 [K].
        maps: Their raw maps, [K, h, w]: comparable between classes and images, unless layers are
            fused.
        status: Per class ``ok``, ``zero`` (no evidence found), ``constant`` (the same evidence
            everywhere) or ``nonfinite`` (the model's arithmetic overflowed). Only maps that are
            ``ok`` are drawn; the heatmaps of the others are zero.
        layer: The target layer, or the fusion of several: ``mean of layer2, layer3``.
        method: Id of the method that made the maps.
        placement: The geometry between the image and the model's input.
        region: The weights of the output's positions in the scores, float32 [*positions]; None:
            all positions count, or there are none.
        measures: Numbers that the method measured about its maps, by name: floats [K].
        signed: Whether negative values in the maps are evidence against the class.
        augment: Changes of the image that the maps are averaged over; empty: none.
    """

    image: Pixels = field(repr=False)
    name: str
    output: NDArray[Any] = field(repr=False)
    probabilities: NDArray[Any] | None = field(repr=False)
    classes: list[int]
    labels: list[str]
    scores: NDArray[np.float32]
    maps: NDArray[np.float32] = field(repr=False)
    status: list[render.Status]
    layer: str
    method: str
    placement: Placement
    region: NDArray[np.float32] | None = field(default=None, repr=False)
    measures: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    signed: bool = False
    augment: tuple[str, ...] = ()

    @cached_property
    def heatmaps(self) -> render.Heatmap:
        """The maps over the image, float32 [K, H, W], each relative to its own maximum.

        Values are in [0, 1]; those of signed maps are in [-1, 1], relative to the largest
        magnitude. Resize and crop are undone; outside the crop the values are 0.
        """
        shape = (len(self.classes), *self.placement.image)
        drawn = [self.heatmap(position) for position in range(len(self.classes))]
        return np.stack(drawn) if drawn else np.zeros(shape, np.float32)

    def heatmap(self, position: int) -> render.Heatmap:
        """Return one class's map over the image, float32 [H, W]; see `heatmaps`."""
        return render.project(render.normalise(self.maps[position], self.signed), self.placement)

    def draw_class(self, position: int, height: int | None, look: render.LookOptions) -> Pixels:
        """Draw the map of the class at ``position``; see `Explanation.draw`."""
        chosen = render.Look(**look)
        image = self.image if height is None else render.resized(self.image, height)
        colours = render.palette(chosen.colormap, self.signed)
        if self.status[position] != "ok":
            return render.mark(image, self.status[position])
        placement = replace(self.placement, image=(image.shape[0], image.shape[1]))
        scale = self.peak if chosen.scale == "shared" else None
        heatmap = render.normalise(self.maps[position], self.signed, scale)
        projected, seen = render.continued(heatmap, placement), render.seen(placement)
        scene = render.Scene(image, projected, seen, colours, chosen.alpha)
        return render.STYLES[chosen.style](scene)

    @property
    def peak(self) -> float:
        """The largest value (signed: magnitude) of all maps; 0 if no map is ok."""
        return max((render.peak(raw, self.signed) for raw in self.maps), default=0.0)

    def position(self, which: SupportsIndex | str) -> int:
        """Return the index of a class in ``classes``.

        Args:
            which: A label, in any case; if a class was explained twice, the first one. Or a
                position; negative positions count from the end.

        Raises:
            ClassError: No explained class has this label or position.
        """
        if not isinstance(which, str):
            place, count = operator.index(which), len(self.classes)
            if not -count <= place < count:
                raise PositionError(f"no explained class at position {place}; there are {count}")
            return place % count
        if which in self.labels:
            return self.labels.index(which)
        folded = [label.casefold() for label in self.labels]
        label = which.strip().casefold()
        if label in folded:
            return folded.index(label)
        near = get_close_matches(label, folded, n=3, cutoff=0.5)
        nearest = ", ".join(f"'{self.labels[folded.index(label)]}'" for label in near)
        raise ClassError(
            f"class '{which}' was not explained; "
            + (f"nearest: {nearest}" if near else f"there are {len(self.labels)} explained classes")
        )

    def probability(self, position: int) -> float | None:
        """Return a class's probability; None if the scores are not those of a classification."""
        if self.probabilities is None or self.probabilities.ndim != 1:
            return None
        return _finite(self.probabilities[self.classes[position]])

    def to_dict(self, maps: bool = False, positions: Sequence[int] | None = None) -> dict[str, Any]:
        """Return a summary for JSON; NaN and infinity, which JSON lacks, become None.

        Args:
            maps: Include each class's raw map, as rows of numbers.
            positions: Positions of the classes to include; None: all.
        """
        shown = range(len(self.classes)) if positions is None else positions
        return {
            "name": self.name,
            "width": self.placement.image[1],
            "height": self.placement.image[0],
            "layer": self.layer,
            "method": self.method,
            "signed": self.signed,
            "augment": list(self.augment),
            "classes": [self._summary(position, maps) for position in shown],
        }

    def _summary(self, position: int, maps: bool) -> dict[str, Any]:
        raw = self.maps[position]
        summary: dict[str, Any] = {
            "id": self.classes[position],
            "label": self.labels[position],
            "score": _finite(self.scores[position]),
            "probability": self.probability(position),
            "status": self.status[position],
            "map_maximum": _finite(raw.max()) if raw.size else None,
            **{name: _finite(values[position]) for name, values in self.measures.items()},
        }
        if maps:
            summary["map"] = [[_finite(value) for value in row] for row in raw]
        return summary


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
