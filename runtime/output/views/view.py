"""A `View` knows how one kind of input is drawn, alone and with a map over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...inputs.image_files import Pixels
from ...inputs.preprocess import Placement
from ..render import Heatmap, Look, Status, mark, resample, resized
from ..render.palettes import Palette


@dataclass(frozen=True, eq=False)
class Drawing:
    """A map, and how to draw it.

    Attributes:
        values: float32 [*cells] in [0, 1] or, signed, [-1, 1].
        palette: Its colours.
        look: Style and opacity.
        height: Height of the drawing in pixels; None: the view's own.
    """

    values: Heatmap
    palette: Palette
    look: Look
    height: int | None = None


class View(ABC):
    """One input of a model, which maps are drawn over.

    Attributes:
        shape: Extents of a map over the input, at its full resolution.
        placement: The geometry between an image and the model's input; None: the input is no
            image.
        white: Whether maps are drawn on white ground.
        frames: Number of images that follow one another in time; 0: the input is no clip.
        own_row: Whether figures give each drawing a row of its own, at the view's own height.
    """

    shape: tuple[int, ...]
    placement: Placement | None = None
    white: bool = False
    frames: int = 0
    own_row: bool = True
    _small: Pixels | None = None

    @cached_property
    def image(self) -> Pixels:
        """The input alone, RGB uint8 [H, W, 3]."""
        return self.draw_alone()

    @abstractmethod
    def draw_alone(self) -> Pixels:
        """Draw the input without a map, at the view's own height."""

    @abstractmethod
    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the map over the input, at the view's own height."""

    def plain(self, height: int | None = None) -> Pixels:
        """Draw the input alone at a height; None: its own. Callers must not change the result."""
        if height is None or height == self.image.shape[0]:
            return self.image
        # The drawings of a figure lie over the same small copy.
        if self._small is None or self._small.shape[0] != height:
            self._small = resized(self.image, height)
        return self._small

    def draw(self, drawing: Drawing) -> Pixels:
        """Draw the map over the input, as a new array."""
        drawn = self.draw_own(drawing)
        return drawn if drawing.height is None else resized(drawn, drawing.height)

    def draw_frames(self, drawing: Drawing) -> Iterator[Pixels]:
        """Draw each image of a clip with its part of the map, at the drawing's height."""
        yield self.draw(drawing)

    def mark(self, status: Status, height: int | None) -> Pixels:
        """Draw the input of a map that cannot be drawn, with the reason."""
        return mark(self.plain(height), status)

    def project(self, values: Heatmap) -> Heatmap:
        """Return the map at the input's resolution, float32 [*shape]; values lie in [-1, 1]."""
        return resample(values, self.shape)

    def summary(self) -> dict[str, Any]:
        """Describe the input for JSON."""
        return {"shape": list(self.shape)}
