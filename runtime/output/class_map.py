"""A `ClassMap` is one explained class of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from ..inputs.image_files import Pixels
from .explanation_data import ExplanationData
from .printed import WIDTH
from .render import Heatmap, LookOptions, Status
from .save import Made, save


@dataclass(frozen=True, eq=False)
class ClassMap:
    """One class of an explanation: its score, and the map of the evidence for it.

    Attributes:
        id: The class id; for a linear score the row of its weights.
        label: Its name; the id as text if the artifact stores no labels.
        score: Its score.
        probability: Its probability; None if the scores are not those of a classification.
        status: ``ok``, or why the map cannot be drawn: ``zero``, ``constant`` or ``nonfinite``.
        map: The raw map, float32 [h, w], comparable between classes and images.
    """

    id: int
    label: str
    score: float
    probability: float | None
    status: Status
    map: NDArray[np.float32] = field(repr=False)
    _data: ExplanationData = field(repr=False)
    _position: int = field(repr=False)

    @cached_property
    def heatmap(self) -> Heatmap:
        """The map over the image, float32 [H, W], relative to its maximum: [0, 1] or [-1, 1]."""
        return self._data.heatmap(self._position)

    def draw(self, height: int | None = None, **look: Unpack[LookOptions]) -> Pixels:
        """Draw the map: RGB uint8; see `Explanation.draw`."""
        return self._data.draw_class(self._position, height, look)

    def save(
        self,
        target: str | Path,
        suffix: str = ".png",
        name: str | None = None,
        width: float = WIDTH,
        fps: float | None = None,
        **look: Unpack[LookOptions],
    ) -> Path:
        """Write this class alone and return the file's path; see `Explanation.save`."""
        return save(
            self._data, target, [self._position], suffix, name, look, made=Made(width, fps)
        )[0]


def class_map(data: ExplanationData, position: int) -> ClassMap:
    """Return the class at ``position``, from 0."""
    return ClassMap(
        id=data.classes[position],
        label=data.labels[position],
        score=float(data.scores[position]),
        probability=data.probability(position),
        status=data.status[position],
        map=data.maps[position],
        _data=data,
        _position=position,
    )


def class_maps(data: ExplanationData) -> list[ClassMap]:
    """Return all explained classes, in their order."""
    return [class_map(data, position) for position in range(len(data.classes))]
