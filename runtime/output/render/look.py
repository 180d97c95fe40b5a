"""A `Look` says how explanations are drawn: style, opacity, colours and scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict, get_args

from ...errors import RenderError

Style: TypeAlias = Literal["overlay", "heatmap", "contour", "mask"]
Scale: TypeAlias = Literal["own", "shared"]


class LookOptions(TypedDict, total=False):
    """The fields of `Look` as optional keywords."""

    style: Style
    alpha: float
    colormap: str | None
    scale: Scale


@dataclass(frozen=True)
class Look:
    """How to draw a map.

    Attributes:
        style: ``overlay``: colour over the image; ``heatmap``: colour alone; ``contour``: lines
            of equal evidence on the image; ``mask``: the image, dark and blurred where there is
            no evidence.
        alpha: For ``overlay``: share of the colour where the evidence is strongest.
        colormap: A colour map of OpenCV (jet, turbo, viridis, inferno...) or ``diverging``; None:
            jet, for signed maps ``diverging``.
        scale: The value with full colour: each class's ``own`` maximum, or the largest of all
            explained classes (``shared``), so that colours can be compared between classes.

    Raises:
        RenderError: A value is unknown or out of range.
    """

    style: Style = "overlay"
    alpha: float = 0.5
    colormap: str | None = None
    scale: Scale = "own"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("style", self.style, get_args(Style)),
            ("scale", self.scale, get_args(Scale)),
        ):
            if value not in choices:
                raise RenderError(f"unknown {name} '{value}'; choose from {', '.join(choices)}")
        if not 0 <= self.alpha <= 1:
            raise RenderError(f"alpha={self.alpha} is out of range; give 0 (image only) to 1")
