"""A `Look` says how explanations are drawn: style, opacity, colours and scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict, get_args

from ...errors import RenderError

Style: TypeAlias = Literal["overlay", "heatmap", "contour", "mask"]
Scale: TypeAlias = Literal["own", "shared"]
Opacity: TypeAlias = Literal["evidence", "even"]

WIDEST_DILATION = 64


class LookOptions(TypedDict, total=False):
    """The fields of `Look` as optional keywords."""

    style: Style
    alpha: float
    colormap: str | None
    scale: Scale
    opacity: Opacity
    percentile: float | None
    dilation: int
    bar: bool | None


@dataclass(frozen=True)
class Look:
    """How to draw a map.

    Attributes:
        style: ``overlay``: colour over the image; ``heatmap``: colour alone; ``contour``: lines
            of equal evidence on the image; ``mask``: the image, dark and blurred where there is
            no evidence.
        alpha: For ``overlay``: share of the colour where the evidence is strongest.
        colormap: A colour map of OpenCV (inferno, viridis, jet...), ``reds`` or ``diverging``;
            None: inferno, on white ground ``reds``, for signed maps ``diverging``.
        scale: The value with full colour: each class's ``own`` maximum, or the largest of all
            explained classes (``shared``), so that colours can be compared between classes.
        opacity: For ``overlay``: the share of the colour is ``alpha`` times the ``evidence``, so
            that the image stays itself where there is none; or ``even``, ``alpha`` everywhere.
        percentile: The percentile of a map's evidence that gets full colour, above 0; what is
            larger is drawn as large. None: 100, the maximum; 99 for methods of the input's
            gradient, whose maps have few large values.
        dilation: Number of a map's cells by which evidence is drawn wider in each direction. It
            makes single pixels visible.
        bar: Whether a colour bar stands beside the map. None: in figures, not beside single maps.

    Raises:
        RenderError: A value is unknown or out of range.
    """

    style: Style = "overlay"
    alpha: float = 0.7
    colormap: str | None = None
    scale: Scale = "own"
    opacity: Opacity = "evidence"
    percentile: float | None = None
    dilation: int = 0
    bar: bool | None = None

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("style", self.style, get_args(Style)),
            ("scale", self.scale, get_args(Scale)),
            ("opacity", self.opacity, get_args(Opacity)),
        ):
            if value not in choices:
                raise RenderError(f"unknown {name} '{value}'; choose from {', '.join(choices)}")
        if not 0 <= self.alpha <= 1:
            raise RenderError(f"alpha={self.alpha} is out of range; give 0 (image only) to 1")
        if self.percentile is not None and not 0 < self.percentile <= 100:
            raise RenderError(
                f"percentile={self.percentile} is out of range; give more than 0, up to 100"
            )
        if self.dilation not in range(WIDEST_DILATION + 1):
            raise RenderError(
                f"dilation={self.dilation} is out of range; give a whole number of cells, 0 to "
                f"{WIDEST_DILATION}"
            )
