"""`attribute` imports what ``package.module:name`` stands for, and `called` calls it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import CaptureError, first_line


def attribute(module: str, name: str) -> Any:
    """Return ``name`` of ``module``, which may be in the working folder.

    Python's own modules and the installed ones come first: a file ``torch.py`` in a folder that
    somebody else filled takes no one's place.

    Raises:
        CaptureError: The module cannot be imported, ends the program, or has no such attribute.
    """
    find_in_working_folder()
    found: Any = None
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise CaptureError(
            f"cannot import {module}:{name}: {reason_of(error)}{_taken_from(module, found)}"
        ) from error
    return found


def find_in_working_folder() -> None:
    """Let modules of the working folder be found, after all others."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)


def called(function: Callable[[], Any], text: str) -> Any:
    """Call what ``text`` stands for, without arguments.

    Raises:
        CaptureError: It fails, or ends the program.
    """
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise CaptureError(f"cannot call {text}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """The first line of an error of the user's code; a SystemExit has none that tells."""
    if isinstance(error, SystemExit):
        return f"it ends the program with sys.exit({error.code!r}); let it return or raise"
    return first_line(error)


def _taken_from(module: str, found: Any) -> str:
    """The file of a module that lacks a name, if another one lies in the working folder."""
    own = Path.cwd().joinpath(*module.split("."))
    here = own.with_suffix(".py").is_file() or own.is_dir()
    file = getattr(found, "__file__", None)
    if not here or file is None or Path(file).is_relative_to(Path.cwd()):
        return ""
    return f" (it is the installed {file}; give {own.name}.py another name)"
