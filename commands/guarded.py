"""`GuardedCommand` refuses, before any work, to write over what a command reads.

The types of a command's options say what they are: a `click.Path` and what `reads` are inputs, a
`Destination` is written. So no command can forget the check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import click

from ..runtime.errors import GraftcamError
from ..runtime.writing import guard, protected, refuse_twice

STDOUT = "-"


class Destination(click.Path):
    """A file or folder to write.

    Attributes:
        folder: Whether it is a folder; None: a file if there is one, else a folder.
    """

    def __init__(self, *, folder: bool | None = False) -> None:
        super().__init__(path_type=Path)
        self.folder = folder

    def is_folder(self, path: Path) -> bool:
        """Whether ``path`` is to be a folder."""
        return not path.is_file() if self.folder is None else self.folder


class TextOrFile(click.ParamType):
    """Text that may name a file, also after a name: ``FILE`` or ``OUTPUT=FILE``."""

    name = "text"
    reads = True


class GuardedCommand(click.Command):
    """A command that replaces none of its inputs, whatever spelling or link names them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Check every destination, and run the command.

        Raises:
            GraftcamError: A destination is an input or cannot be written; see `guard`.
        """
        inputs: list[Path] = []
        written: list[tuple[str, Path, bool]] = []
        for one in self.params:
            kind, value = one.type, ctx.params.get(one.name or "")
            if isinstance(kind, Destination):
                paths = [path for path in _paths(value) if str(path) != STDOUT]
                written += [(one.opts[-1], path, kind.is_folder(path)) for path in paths]
            elif isinstance(kind, click.Path) or getattr(kind, "reads", False):
                inputs += _paths(value)
        files = [path for _, path, folder in written if not folder]
        inputs += _images_of(files, inputs)
        for _, path, folder in written:
            guard(path, inputs, GraftcamError, folder=folder)
        refuse_twice([(name, path) for name, path, _ in written], GraftcamError)
        with protected(inputs):
            return super().invoke(ctx)


def _paths(value: Any) -> list[Path]:
    """Return every path that an option's value may name."""
    if isinstance(value, Path):
        return [value]
    if isinstance(value, str):
        return [Path(text) for text in (value, value.partition("=")[2]) if text]
    if isinstance(value, Mapping):
        value = cast("Mapping[str, Any]", value).values()
    parts = cast("Iterable[Any]", value) if isinstance(value, Iterable) else ()
    return [path for part in parts for path in _paths(part)]


def _images_of(files: Iterable[Path], inputs: Iterable[Path]) -> list[Path]:
    """Return those of ``files`` that are images in a folder among the inputs."""
    folders = [one.resolve() for one in inputs if _is_folder(one)]
    inside = [
        path for path in files
        if path.is_file() and any(path.resolve().is_relative_to(one) for one in folders)
    ]  # fmt: skip
    if not inside:
        return []
    from ..runtime.inputs.image_names import SUFFIXES

    return [path for path in inside if path.name.lower().endswith(SUFFIXES)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # text that is no path, such as a long one
        return False
