"""`drawing_options` adds the options that control how explanations are drawn and saved."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option
from click.core import ParameterSource

from ..runtime.inputs.names import Names
from .sections import Section, under

if TYPE_CHECKING:
    from ..runtime import Explanation
    from ..runtime.output.render import LookOptions

APPEARANCE = Section("How it looks")
_LOOK = ("style", "alpha", "opacity", "colormap", "scale", "percentile", "dilation", "bar")
_KINDS = ["png", "jpg", "npy", "json", "html", "svg", "pdf", "gif", "mp4"]
_IMAGES, _PRINTED, _ANIMATED = ("png", "jpg"), ("svg", "pdf"), ("gif", "mp4")
_MADE = {"width": _PRINTED, "fps": _ANIMATED}
_OF_OVERLAYS = {"alpha": "the opacity of the overlay", "opacity": "how opaque the overlay is"}
_options = under(
    APPEARANCE,
    option("--panel", is_flag=True,
           help="One file for each image: it and all maps side by side, with colour bars."),
    option("--style", type=click.Choice(["overlay", "heatmap", "contour", "mask"]),
           default="overlay", show_default=True,
           help="Colour over the image, colour alone, lines of equal evidence, or the "
                "image dark and blurred where there is no evidence."),
    option("--alpha", type=click.FloatRange(0, 1), default=0.7, show_default=True, metavar="SHARE",
           help="Opacity of the overlay where the evidence is strongest."),
    option("--opacity", type=click.Choice(["evidence", "even"]), default="evidence",
           show_default=True,
           help="The overlay is as opaque as the evidence is strong, or the same everywhere."),
    option("--colormap", metavar="NAME",
           help="OpenCV colour map (viridis, cividis, jet...), reds, or diverging. Default: "
                "inferno; reds on white ground; diverging for methods whose maps have a sign."),
    option("--scale", type=click.Choice(["own", "shared"]), default="own", show_default=True,
           help="The value with full colour: each class's own maximum, or the largest of all "
                "explained classes."),
    option("--percentile", type=click.FloatRange(0, 100, min_open=True), metavar="P",
           help="Full colour from this percentile of a map's evidence on. Default: 100, the "
                "maximum; 99 for methods of the input's gradient, which have few large values."),
    option("--dilation", type=click.IntRange(0, 64), default=0, show_default=True, metavar="CELLS",
           help="Draw evidence wider by this many cells of the map, so that single pixels show."),
    option("--bar/--no-bar", default=None,
           help="A colour bar beside the map. Default: in a panel only."),
    option("--format", "kind", type=click.Choice(_KINDS), default="png", show_default=True,
           help="png, jpg: one image for each class; npy: the raw maps of all classes in one "
                "file; json: the raw maps with a summary; html: a page of all classes, on which "
                "text stays text; svg, pdf: the panel for print (needs graftcam[figures]); gif, "
                "mp4: an animation, a frame for each class by each --method."),
    option("--width", type=click.FloatRange(1, 40), metavar="INCHES",
           help="Width of an svg or pdf. Default: 7; a column of a journal has about 3.3."),
    option("--fps", type=click.FloatRange(0.05, 60), metavar="N",
           help="Frames a second of a gif or mp4. Default: 1; 8 for clips."),
)  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """The values of the drawing options.

    Attributes:
        panel: Whether each image gets one file with all its maps.
        kind: The suffix of the files, without the dot.
        look: The keyword arguments of ``Explanation.draw``.
        made: What single kinds of files take: ``width`` and ``fps``.
        names: The names of the files that were written.
    """

    panel: bool
    kind: str
    look: LookOptions
    made: dict[str, Any] = field(default_factory=dict[str, Any])
    names: Names = field(default_factory=Names)

    def to_dict(self) -> dict[str, Any]:
        """Return the keyword arguments of ``Explanation.save``."""
        return {**self.look, **self.made, "suffix": f".{self.kind}"}

    def check(self, target: Path) -> None:
        """Refuse a folder, or a file, that cannot be written, before any work.

        Raises:
            RenderError: See `guard`.
        """
        from ..runtime.errors import RenderError
        from ..runtime.output.save import names_file
        from ..runtime.writing import guard

        guard(target, (), RenderError, folder=not names_file(target))

    def write(self, found: Sequence[Explanation], folder: Path) -> list[list[Path]]:
        """Write an image's explanations by one or more methods; return the files of each."""
        from ..runtime import animate, save_figure
        from ..runtime.errors import RenderError
        from ..runtime.inputs.names import file_name
        from ..runtime.output.save import names_file, save
        from ..runtime.writing import made_folder

        if self.panel or self.kind in (*_PRINTED, *_ANIMATED):
            name = f"{found[0].name}-panel" if self.panel else found[0].name
            suffix = f".{self.kind}"
            if names_file(folder):
                folder, name, suffix = folder.parent, folder.stem, folder.suffix
            file = folder / file_name(self.names.distinct(name), suffix)
            if self.kind in _ANIMATED:
                path = animate(found, file, **self.made, **self.look)
            elif len(found) == 1 and not self.panel:
                [path] = found[0].save(file, **self.made, **self.look)
            else:
                path = save_figure(found, file, **self.made, **self.look)
            return [[path]] * len(found)
        several = len(found) > 1
        names = [f"{one.name}-{one.method}" if several else None for one in found]
        # A folder may have a name with a dot, such as v1.2.
        there = contextlib.nullcontext() if names_file(folder) else made_folder(folder, RenderError)
        with there:
            return [
                save(one, folder, range(len(one)), f".{self.kind}", name, self.look, self.names)
                for one, name in zip(found, names, strict=True)
            ]


def drawing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as ``drawing``, a `Drawing`."""

    @functools.wraps(command)
    def bundled(*, panel: bool, kind: str, **others: Any) -> Any:
        kind = _kind_of(others.get("folder")) or kind
        if panel and kind not in (*_IMAGES, *_PRINTED):
            raise click.UsageError(
                f"--panel writes an image, --format {kind} does not; use png, jpg, svg or pdf"
            )
        look: Any = {name: others.pop(name) for name in _LOOK}
        made = {name: others.pop(name) for name in _MADE}
        _refuse_unused(kind, look["style"])
        if kind in _PRINTED:
            from ..runtime.output.printed import need_matplotlib

            need_matplotlib()
        given = {name: value for name, value in made.items() if value is not None}
        return command(drawing=Drawing(panel, kind, look, given), **others)

    return _options(bundled)


def _kind_of(target: Path | None) -> str | None:
    """Return the format that a target names by its suffix, unless one is given as an option."""
    source = click.get_current_context().get_parameter_source("kind")
    named = "" if target is None or target.is_dir() else target.suffix.lower().removeprefix(".")
    if source is ParameterSource.COMMANDLINE or named not in (*_PRINTED, *_ANIMATED):
        return None
    return named


def _refuse_unused(kind: str, style: str) -> None:
    """Refuse options of the look that would change nothing."""
    source = click.get_current_context().get_parameter_source
    given = [name for name in _LOOK if source(name) is ParameterSource.COMMANDLINE]
    if given and kind in ("npy", "json"):
        raise click.UsageError(
            f"--format {kind} writes raw maps, which --{given[0]} does not change; leave it out"
        )
    for name, what in _OF_OVERLAYS.items():
        if name in given and style != "overlay":
            raise click.UsageError(
                f"--{name} is {what}, and --style {style} has none; leave it out"
            )
    for name, kinds in _MADE.items():
        if source(name) is ParameterSource.COMMANDLINE and kind not in kinds:
            raise click.UsageError(
                f"--{name} is for --format {' and '.join(kinds)}, not {kind}; leave it out"
            )
    if "bar" in given and kind in _ANIMATED:
        raise click.UsageError(f"--format {kind} has no colour bars; leave --bar out")
    for name in ("colormap", "bar"):
        if name in given and style == "mask":
            raise click.UsageError(f"--style mask draws no colours; leave --{name} out")
