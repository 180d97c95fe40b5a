"""`drawing_options` adds the options that control how explanations are drawn and saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..runtime import Explanation
    from ..runtime.output.render import LookOptions, Scale, Style

_OPTIONS = (
    click.option("--panel", is_flag=True,
                 help="One file for each image: it and all maps side by side, with a colour "
                      "bar."),
    click.option("--style", type=click.Choice(["overlay", "heatmap", "contour", "mask"]),
                 default="overlay", show_default=True,
                 help="Colour over the image, colour alone, lines of equal evidence, or the "
                      "image dark and blurred where there is no evidence."),
    click.option("--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True,
                 help="Opacity of the overlay where the evidence is strongest."),
    click.option("--colormap", metavar="NAME",
                 help="OpenCV colour map, or diverging. Default: jet; diverging for methods whose "
                      "maps have a sign."),
    click.option("--scale", type=click.Choice(["own", "shared"]), default="own", show_default=True,
                 help="The value with full colour: each class's own maximum, or the largest of all "
                      "explained classes."),
    click.option("--format", "kind", type=click.Choice(["png", "jpg", "npy", "json"]),
                 default="png", show_default=True,
                 help="png, jpg: one image for each class; npy: the raw maps of all classes in one "
                      "file; json: the raw maps with a summary."),
)  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """The values of the drawing options."""

    panel: bool
    style: Style
    alpha: float
    colormap: str | None
    scale: Scale
    kind: str

    @property
    def look(self) -> LookOptions:
        """The keyword arguments of ``Explanation.draw``."""
        return {
            "style": self.style, "alpha": self.alpha, "colormap": self.colormap,
            "scale": self.scale,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the keyword arguments of ``Explanation.save``."""
        return {**self.look, "suffix": f".{self.kind}"}

    def write(self, found: Sequence[Explanation], folder: Path) -> list[list[Path]]:
        """Write an image's explanations by one or more methods; return the files of each."""
        from ..runtime import figure
        from ..runtime.output.render import write_image

        if self.panel:
            sheet = figure(found, **self.look)
            path = write_image(folder / f"{found[0].name}-panel.{self.kind}", sheet)
            return [[path]] * len(found)
        several = len(found) > 1
        names = [f"{one.name}-{one.method}" if several else None for one in found]
        return [
            one.save(folder, name=name, **self.to_dict())
            for one, name in zip(found, names, strict=True)
        ]


def drawing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as ``drawing``, a `Drawing`."""

    @functools.wraps(command)
    def bundled(
        *, panel: bool, style: Style, alpha: float, colormap: str | None, scale: Scale, kind: str,
        **others: Any,
    ) -> Any:  # fmt: skip
        if panel and kind not in ("png", "jpg"):
            raise click.UsageError(
                f"--panel writes an image, --format {kind} does not; use png or jpg"
            )
        return command(drawing=Drawing(panel, style, alpha, colormap, scale, kind), **others)

    for option in reversed(_OPTIONS):
        bundled = option(bundled)
    return bundled
