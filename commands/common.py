"""The commands share these parts: types of options, and what every command has."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..runtime.errors import GraftcamError
from ..runtime.strict_json import read_json
from .guarded import GuardedCommand
from .progress import Steps as Steps
from .progress import meter as meter
from .progress import progress_bar as progress_bar
from .sections import SectionedCommand
from .terminal import TERMINAL_OPTIONS
from .terminal import note as note
from .terminal import say as say
from .terminal import tell as tell


def example(*lines: str) -> str:
    r"""Return an epilog of commands to copy; ``\\b`` prevents click from joining the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class _Command(GuardedCommand, SectionedCommand):
    """A command of the project."""


def command(*examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command that never overwrites an input, and whose help ends with commands to copy.

    A long help has sections; see `sections`.

    Every command also takes the options of `terminal`.
    """

    def make(function: Callable[..., Any]) -> click.Command:
        made = click.command(cls=_Command, epilog=example(*examples))(function)
        made.params += TERMINAL_OPTIONS
        return made

    return make


class Numbers(click.ParamType):
    """Comma-separated numbers."""

    name = "N,N,..."

    def __init__(self, kind: Callable[[str], float], count: int | None = None) -> None:
        self.kind = kind
        self.count = count

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the numbers, or fail as a usage error."""
        if not isinstance(value, str):
            return value
        try:
            numbers = [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is no comma-separated list of numbers", param, ctx)
        if self.count is not None and len(numbers) != self.count:
            self.fail(f"{value!r} has {len(numbers)} numbers, not {self.count}", param, ctx)
        return numbers


class Shape(click.ParamType):
    """``[NAME=]N,N,...``: the shape of one input; ``x`` may separate, ``?`` is an open extent."""

    name = "[INPUT=]N,N,..."
    kind = int

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the input's name, "" if there is none, and the extents, or fail as usage error."""
        if not isinstance(value, str):
            return value
        name, _, text = value.rpartition("=")
        parts = text.replace("x", ",").split(",")
        try:
            return name, [None if part.strip() in ("?", "-1", "N") else int(part) for part in parts]
        except ValueError:
            self.fail(f"{value!r} is no shape such as 3,224,224 or image=1x3x224x224", param, ctx)


def shapes_by_input(
    _context: click.Context,
    _option: click.Parameter,
    given: Sequence[tuple[str, list[int | None]]],
) -> dict[str, list[int | None]]:
    """Return the shapes by input; only one may be without a name."""
    shapes = dict(given)
    if len(shapes) < len(given):
        raise click.BadParameter("several shapes need the inputs' names: --shape image=3,96,96")
    return shapes


class Setting(click.ParamType):
    """``name=value``, the value as in JSON or Python: a number, true, false, null, or else text."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return name and value, or fail as a usage error."""
        if not isinstance(value, str):
            return value
        key, equals, text = value.partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        try:
            return key.replace("-", "_"), read_json(text)
        except ValueError:
            word = {"True": True, "False": False, "None": None}.get(text, text)
            return key.replace("-", "_"), word


def need_exporter(*sources: str | Path | None, why: str = "") -> None:
    """Check what can be checked before the exporter is imported, which takes a while.

    Args:
        sources: What the command was given. ONNX files among them are checked; see `check_file`.
        why: Why the exporter is needed, for the message; empty: the command says it.

    Raises:
        GraftcamError: Packages are missing, and the message has the command to install them; or
            no library should open a file.
    """
    missing = [n for n in ("onnx", "onnx_ir", "onnxruntime") if not importlib.util.find_spec(n)]
    if missing:
        names = ", ".join(missing)
        reason = f"{why}; " if why else ""
        raise GraftcamError(
            f'{reason}{names} missing: pip install "graftcam[onnx]" for ONNX files, '
            '"graftcam[cpu,export]" for PyTorch models too'
        )
    from ..runtime.onnx_file.check import check_file

    for path in map(Path, filter(None, sources)):
        if path.suffix == ".onnx" and path.is_file():
            check_file(path, GraftcamError)
