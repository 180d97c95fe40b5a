"""`ExplanationData` has the attributes of an explanation."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ..errors import ClassError, PositionError
from ..inputs.image_files import Pixels
from ..inputs.preprocess import Placement
from ..methods.table import METHODS
from . import render
from .answer import Answer
from .views import Drawing, View

_FEW_LARGE = 99
"""The percentile with full colour of maps that have few large values among many small ones."""

STATES: dict[render.Status, str] = {
    "ok": "",
    "zero": "  (empty map: no evidence for this class)",
    "constant": "  (constant map: the same evidence everywhere)",
    "nonfinite": "  (the map is not finite: the model overflowed)",
}
"""What to say about a map of each status."""


@dataclass(frozen=True, eq=False)
class ExplanationData(ABC):
    """One example, the model's output for it, and a map for each explained class.

    Attributes:
        view: The input that the maps lie over, and how it is drawn.
        name: The file's name without suffix, or ``image``.
        output: The model's own output: logits or probabilities.
        probabilities: Per class, [classes]; None if the scores are not those of a classification.
        classes: Ids of the K explained classes.
        labels: Their names; the ids as text if the artifact stores no labels.
        scores: Their scores, float32 [K].
        maps: Their raw maps, [K, *cells], of a photograph [K, h, w]: comparable between classes
            and images, unless layers are fused.
        status: Per class ``ok``, ``zero`` (no evidence found), ``constant`` (the same evidence
            everywhere) or ``nonfinite`` (the model's arithmetic overflowed). Only maps that are
            ``ok`` are drawn; the heatmaps of the others are zero.
        layer: The target layer, or the fusion of several: ``mean of layer2, layer3``.
        method: Id of the method that made the maps.
        input: The name of the model's input that the maps lie over.
        region: The weights of the output's positions in the scores, float32 [*positions]; None:
            all positions count, or there are none.
        measures: Numbers that the method measured about its maps, by name: floats [K].
        signed: Whether negative values in the maps are evidence against the class.
        augment: Changes of the image that the maps are averaged over; empty: none.
        output_name: The name of the model's output that the classes are of.
        answers: What the model says at each output that the artifact explains, by name, if there
            are several; else empty.
        sources: The files that it was made from; `save` replaces none of them.
    """

    view: View = field(repr=False)
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
    input: str
    region: NDArray[np.float32] | None = field(default=None, repr=False)
    measures: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    signed: bool = False
    augment: tuple[str, ...] = ()
    output_name: str = ""
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer], repr=False)
    sources: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def image(self) -> Pixels:
        """The image, RGB uint8 [H, W, 3]; of another input the drawing of it alone."""
        return self.view.image

    @property
    def placement(self) -> Placement | None:
        """The geometry between the image and the model's input; None if the input is no image."""
        return self.view.placement

    @cached_property
    def heatmaps(self) -> render.Heatmap:
        """The maps over the input, float32 [K, H, W], each relative to its own maximum.

        Values are in [0, 1]; those of signed maps are in [-1, 1], relative to the largest
        magnitude. Over an image resize and crop are undone, and outside the crop the values are 0.
        Over a signal the shape is [K, L], over a volume or clip [K, D, H, W], over tokens [K, T].
        """
        shape = (len(self.classes), *self.view.shape)
        drawn = [self.heatmap(position) for position in range(len(self.classes))]
        return np.stack(drawn) if drawn else np.zeros(shape, np.float32)

    def heatmap(self, position: int) -> render.Heatmap:
        """Return one class's map over the input, float32 [H, W]; see `heatmaps`."""
        return self.view.project(render.normalise(self.maps[position], self.signed))

    @abstractmethod
    def sheet(self, height: int | None, look: render.Look) -> render.Sheet:
        """Arrange the input and each class's drawing side by side."""

    def only(self, positions: Sequence[int]) -> Self:
        """Return the explanation of some of its classes."""
        each = ("classes", "labels", "status")
        return replace(
            self,
            scores=self.scores[list(positions)],
            maps=self.maps[list(positions)],
            measures={name: values[list(positions)] for name, values in self.measures.items()},
            **{name: [getattr(self, name)[at] for at in positions] for name in each},
        )

    def draw_input(self, height: int | None = None) -> Pixels:
        """Draw the input without a map, at a height in pixels; None: its own."""
        return self.view.plain(height)

    def draw_class(self, position: int, height: int | None, look: render.LookOptions) -> Pixels:
        """Draw the map of the class at ``position``; see `Explanation.draw`."""
        chosen = render.Look(**look)
        drawn = self.draw_map(position, height, chosen)
        return render.beside(drawn, self.bar(chosen, position)) if chosen.bar else drawn

    def draw_map(self, position: int, height: int | None, look: render.Look) -> Pixels:
        """Draw a map without a colour bar."""
        colours = self.palette(look)  # an unknown colour map is refused for every map
        if self.status[position] != "ok":
            return self.view.mark(self.status[position], height)
        return self.view.draw(Drawing(self.shown(position, look), colours, look, height))

    def draw_frames(self, position: int, height: int | None, look: render.Look) -> Iterator[Pixels]:
        """Draw a map as the frames of an animation: of a clip each image, else a single one."""
        if not self.view.frames or self.status[position] != "ok":
            yield self.draw_map(position, height, look)
            return
        drawing = Drawing(self.shown(position, look), self.palette(look), look, height)
        yield from self.view.draw_frames(drawing)

    def bar(self, look: render.Look, position: int | None = None) -> render.Bar | None:
        """Return the colour bar of one class's map, or of all; None if no map has colours."""
        drawn = [at for at, status in enumerate(self.status) if status == "ok"]
        if not (drawn if position is None else position in drawn):
            return None
        lone = drawn[0] if len(drawn) == 1 else position
        full = self.full(look, None if look.scale == "shared" else lone)
        known = look.scale == "shared" or lone is not None
        return render.scale_bar(
            self.palette(look), look, self.signed, full if known else None, self.percentile(look)
        )

    def palette(self, look: render.Look) -> render.Palette:
        """Return the colours that the maps are drawn in."""
        return render.palette(look.colormap, self.signed, self.view.white)

    def shown(self, position: int, look: render.Look) -> render.Heatmap:
        """Return one class's map [*cells] as it is drawn: scaled, cut off and dilated."""
        full = self.full(look) if look.scale == "shared" else self.full(look, position)
        values = render.normalise(self.maps[position], self.signed, full or None)
        return render.dilated(values, look.dilation)

    def full(self, look: render.Look, position: int | None = None) -> float:
        """Return the raw value that gets full colour; 0 if no map can be drawn.

        Args:
            look: Says which percentile of a map it is.
            position: The class; None: the largest of all.
        """
        maps = self.maps if position is None else self.maps[position : position + 1]
        percentile = self.percentile(look)
        return max((render.peak(raw, self.signed, percentile) for raw in maps), default=0.0)

    @property
    def peak(self) -> float:
        """The largest value (signed: magnitude) of all maps; 0 if no map is ok."""
        return self.full(render.Look(percentile=100))

    def percentile(self, look: render.Look) -> float:
        """Return the percentile of a map's evidence that gets full colour."""
        if look.percentile is not None:
            return look.percentile
        method = METHODS.get(self.method)
        return _FEW_LARGE if method is not None and method.of_pixels else 100

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
        return finite(self.probabilities[self.classes[position]])

    def to_dict(self, maps: bool = False, positions: Sequence[int] | None = None) -> dict[str, Any]:
        """Return a summary for JSON; NaN and infinity, which JSON lacks, become None.

        Args:
            maps: Include each class's raw map, as nested lists of numbers.
            positions: Positions of the classes to include; None: all.
        """
        shown = range(len(self.classes)) if positions is None else positions
        return {
            "name": self.name,
            **self.view.summary(),
            "layer": self.layer,
            "method": self.method,
            "signed": self.signed,
            "augment": list(self.augment),
            **self._answers(),
            "classes": [self._summary(position, maps) for position in shown],
        }

    def _answers(self) -> dict[str, Any]:
        """Return the explained output, and the best classes of each, if there are several."""
        if not self.answers:
            return {}
        count = max(1, len(self.classes))
        best = {name: one.to_dicts(count) for name, one in self.answers.items()}
        return {"output": self.output_name, "answers": best}

    def _summary(self, position: int, maps: bool) -> dict[str, Any]:
        raw = self.maps[position]
        summary: dict[str, Any] = {
            "id": self.classes[position],
            "label": self.labels[position],
            "score": finite(self.scores[position]),
            "probability": self.probability(position),
            "status": self.status[position],
            "map_maximum": finite(raw.max()) if raw.size else None,
            **{name: finite(values[position]) for name, values in self.measures.items()},
        }
        if maps:
            summary["map"] = _finite_rows(raw)
        return summary


def finite(value: Any) -> float | None:
    """Return a number for JSON, None in place of NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def _finite_rows(values: NDArray[Any]) -> list[Any]:
    """Return an array as nested lists, with None for what JSON lacks."""
    if values.ndim == 1:
        return [finite(value) for value in values]
    return [_finite_rows(row) for row in values]
