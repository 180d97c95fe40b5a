"""An `Explanation` is the result for one example; it can be indexed, drawn, shown and saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex, Unpack

from ..errors import ClassError
from ..inputs.image_files import Pixels
from .class_map import ClassMap, class_map, class_maps
from .explanation_data import ExplanationData
from .figures import sheet_of
from .notebook import html_of
from .printed import WIDTH
from .render import Look, LookOptions, Sheet, draw_sheet, encode_image
from .save import Made, save
from .show import show


@dataclass(frozen=True, eq=False)
class Explanation(ExplanationData):
    """One example, the model's output for it, and a map for each explained class.

    ``explanation["cat"]`` and ``explanation[0]`` return one class as a `ClassMap`, iteration
    returns all of them, ``len()`` counts them, and ``in`` tests for a label or a position. The
    attributes are those of `ExplanationData`.
    """

    def __getitem__(self, which: SupportsIndex | str) -> ClassMap:
        """Return one class, by its label or its position.

        Args:
            which: A label, in any case; if a class was explained twice, the first one. Or a
                position; negative positions count from the end.

        Raises:
            ClassError: No explained class has this label, or (as an IndexError) this position.
        """
        return class_map(self, self.position(which))

    def __iter__(self) -> Iterator[ClassMap]:
        return iter(class_maps(self))

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, which: SupportsIndex | str) -> bool:
        try:
            self.position(which)
        except (ClassError, TypeError):
            return False
        return True

    def draw(
        self,
        which: SupportsIndex | str = 0,
        height: int | None = None,
        **look: Unpack[LookOptions],
    ) -> Pixels:
        """Draw one class's map over the image: RGB uint8, of the image's size.

        Over a signal the map is colour behind the lines, a volume is drawn as slices, a clip as
        frames, a text as words on coloured ground.

        A map that is not ``ok`` is not drawn: the image is pale and hatched, with the reason.

        Args:
            which: The class, as for ``explanation[which]``.
            height: Height in pixels to draw at; None: the image's own.
            look: ``style``: overlay, heatmap, contour or mask; ``alpha``; ``opacity``: evidence or
                even; ``colormap``; ``scale``: own or shared; ``percentile``; ``dilation``; ``bar``.
                See `graftcam.runtime.output.render.Look`.

        Raises:
            ClassError: The explanation has no such class.
            RenderError: A part of the look is unknown.
        """
        return self.draw_class(self.position(which), height, look)

    def panel(self, height: int | None = None, **look: Unpack[LookOptions]) -> Pixels:
        """Draw the image and each class's map side by side; see `graftcam.runtime.figure`."""
        return draw_sheet(self.sheet(height, Look(**look)))

    def sheet(self, height: int | None, look: Look) -> Sheet:
        """Arrange what `panel` draws."""
        return sheet_of([self], height, look)

    def show(self, height: int | None = None, **look: Unpack[LookOptions]) -> None:
        """Show the panel below a notebook's cell, else in the platform's image viewer.

        Raises:
            RenderError: There is neither a notebook nor a screen, or as `draw`.
        """
        show(encode_image(self.panel(height, **look)))

    def save(
        self,
        target: str | Path,
        which: SupportsIndex | str | None = None,
        suffix: str = ".png",
        name: str | None = None,
        width: float = WIDTH,
        fps: float | None = None,
        **look: Unpack[LookOptions],
    ) -> list[Path]:
        """Write the explanation and return the files' paths; each is complete or does not exist.

        Images (``.png``, ``.jpg``) are one for each class, ``.npy`` contains the raw maps, float32
        [K, h, w], ``.json`` the result of `to_dict` with raw maps, ``.html`` a page of all
        classes, on which text stays text, ``.svg`` and ``.pdf`` the panel as a figure for print
        (which needs matplotlib, ``graftcam[figures]``), and ``.gif`` and ``.mp4`` an animation
        with a frame for each class, or of a clip for each of its images.

        Args:
            target: A file (``out.png``; several classes become ``out-<class>.png``), or a folder
                for ``<image>-<class>.png`` or ``<image>.npy``.
            which: The class, as for `draw`; None: all of them.
            suffix: Suffix of the files in a folder.
            name: Name of the files in a folder; None: the image's name.
            width: Of a figure for print, in inches.
            fps: Frames a second of an animation; None: see `graftcam.runtime.animate`.
            look: As for `draw`.

        Raises:
            ClassError: The explanation has no such class.
            RenderError: A file cannot be written, its suffix is unknown, or as `draw`.
        """
        positions = range(len(self)) if which is None else [self.position(which)]
        return save(self, target, positions, suffix, name, look, made=Made(width, fps))

    def _repr_png_(self) -> bytes:
        """Return the PNG that a notebook shows if it cannot show HTML."""
        return encode_image(self.panel())

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return html_of(self)
