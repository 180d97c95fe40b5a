"""What an explanation holds, and how it is shown and summarised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ..errors import ClassError
from ..inputs.images import Picture
from ..inputs.preprocess import Placement
from .render import (
    STYLES,
    Heatmap,
    Look,
    LookOptions,
    Scene,
    Status,
    continued,
    encode_image,
    mark,
    normalise,
    palette,
    peak,
    project,
    resized,
    seen,
)


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
        maps: Their raw maps, [K, h, w]: comparable between classes and pictures, unless layers are
            fused.
        status: Per class ``ok``, ``zero`` (no evidence found), ``constant`` (the same evidence
            everywhere, which tells no place) or ``nonfinite`` (the model's arithmetic overflowed);
            only the first is drawn, the heatmaps of the others are zero.
        layer: The target layer, or how several were fused: ``mean of layer2, layer3``.
        method: How the maps were made.
        placement: Where the model's input lies in the picture.
        region: Weights of the output's positions that the scores were summed with, float32
            [*positions]; None: all of them, or an output without positions.
        measures: What the method measured about its maps, by name: floats [K].
        signed: Whether negative values in the maps are evidence against the class.
        augment: Changes of the picture that the maps are averaged over; empty: none.
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
    signed: bool = False
    augment: tuple[str, ...] = ()

    @cached_property
    def heatmaps(self) -> Heatmap:
        """The maps over the picture, float32 [K, H, W], each relative to its own maximum.

        Values are in [0, 1], those of signed maps in [-1, 1], relative to the largest magnitude.
        They undo resize and crop; where the model did not see the picture they are 0.
        """
        shape = (len(self.classes), *self.placement.picture)
        drawn = [project(normalise(raw, self.signed), self.placement) for raw in self.maps]
        return np.stack(drawn) if drawn else np.zeros(shape, np.float32)

    @property
    def peak(self) -> float:
        """The largest value of all maps, of signed ones the largest magnitude; 0 if none is ok."""
        return max((peak(raw, self.signed) for raw in self.maps), default=0.0)

    def draw(
        self, which: int | str = 0, height: int | None = None, **look: Unpack[LookOptions]
    ) -> Picture:
        """Draw one class's map: RGB uint8, of the picture's size.

        A map that is not ``ok`` is not drawn: the picture comes pale and hatched, and says why.

        Args:
            which: Its position in ``classes``, or its label.
            height: Height in pixels to draw at; None: the picture's own.
            look: ``style``: overlay, heatmap, contour or mask; ``alpha``; ``colormap``; ``scale``:
                own or shared. See `graftcam.runtime.render.Look`.

        Raises:
            ClassError: The explanation has no such class.
            RenderError: A part of the look is none.
        """
        position, chosen = self._position(which), Look(**look)
        picture = self.image if height is None else resized(self.image, height)
        colours = palette(chosen.colormap, self.signed)
        if self.status[position] != "ok":
            return mark(picture, self.status[position])
        placement = replace(self.placement, picture=(picture.shape[0], picture.shape[1]))
        scale = self.peak if chosen.scale == "shared" else None
        heatmap = continued(normalise(self.maps[position], self.signed, scale), placement)
        scene = Scene(picture, heatmap, seen(placement), colours, chosen.alpha)
        return STYLES[chosen.style](scene)

    def overlay(
        self, which: int | str = 0, alpha: float = 0.5, colormap: str | None = None
    ) -> Picture:
        """Draw one class's map over the picture: `draw` in the style ``overlay``."""
        return self.draw(which, alpha=alpha, colormap=colormap)

    def panel(self, height: int = 320, **look: Unpack[LookOptions]) -> Picture:
        """Set the picture and each class's drawing side by side; see `graftcam.runtime.figure`."""
        from .figures import figure

        return figure([self], height, **look)

    def save(
        self,
        target: str | Path,
        which: int | str | None = None,
        suffix: str | None = None,
        name: str | None = None,
        **look: Unpack[LookOptions],
    ) -> list[Path]:
        """Write the explanation and return the files' paths; each appears whole or not at all.

        Pictures (``.png``, ``.jpg``) are one for each class, ``.npy`` holds the raw maps, float32
        [K, h, w], and ``.json`` what `to_dict` tells, raw maps included.

        Args:
            target: A file (``out.png``; several classes become ``out-<class>.png``), or a folder,
                which gets ``<picture>-<class>.png`` or ``<picture>.npy``.
            which: The class, as for ``draw``; None: all of them.
            suffix: Of the files in a folder; None: ``.png``.
            name: What the files in a folder are called in place of the picture's name.
            look: As for `draw`.

        Raises:
            ClassError: The explanation has no such class.
            RenderError: A file cannot be written, its suffix is unknown, or as `draw`.
        """
        from .save import save

        positions = range(len(self.classes)) if which is None else [self._position(which)]
        return save(self, Path(target), positions, suffix or ".png", name or self.name, look)

    def to_dict(self, maps: bool = False, positions: Sequence[int] | None = None) -> dict[str, Any]:
        """Summarise for JSON; numbers that JSON lacks (NaN, infinity) become None.

        Args:
            maps: Include each class's raw map, as rows of numbers.
            positions: Those of the classes to include; None: all.
        """
        shown = range(len(self.classes)) if positions is None else positions
        return {
            "name": self.name,
            "width": self.placement.picture[1],
            "height": self.placement.picture[0],
            "layer": self.layer,
            "method": self.method,
            "signed": self.signed,
            "augment": list(self.augment),
            "classes": [self._summary(position, maps) for position in shown],
        }

    def probability(self, which: int | str = 0) -> float | None:
        """Probability of an explained class; None where the scores are no classification."""
        position = self._position(which)
        if self.probabilities is None or self.probabilities.ndim != 1:
            return None
        return _finite(self.probabilities[self.classes[position]])

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

    def _repr_png_(self) -> bytes:
        """What a notebook shows where it cannot show HTML."""
        return encode_image(self.panel())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from .notebook import html_of

        return html_of(self)

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
