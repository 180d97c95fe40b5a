"""The terminal's habits in one place: colours, quiet runs, and errors as JSON.

``NO_COLOR`` and ``FORCE_COLOR`` hold for every command, ``--color`` and ``--quiet`` are options of
each. What `say` prints controls no terminal, whatever the names in it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..runtime.exit_codes import ExitCode
from ..runtime.json_text import write_json
from ..runtime.plain_text import plain_page
from .sections import TERMINAL, placed

_QUIET = "graftcam.quiet"
_MARKS = {"pass": "green", "FAIL": "red", "open": "yellow", "skip": "bright_black"}
_MARK = re.compile(rf"^(?:{'|'.join(_MARKS)})(?=  )", re.MULTILINE)


def _set_colour(context: click.Context, _option: click.Parameter, choice: str) -> None:
    context.color = {"always": True, "never": False}.get(choice, colour_of_environment())


def _set_quiet(context: click.Context, _option: click.Parameter, quiet: bool) -> None:
    context.meta[_QUIET] = quiet or context.meta.get(_QUIET, False)


TERMINAL_OPTIONS = placed(TERMINAL, [
    click.Option(
        ["-q", "--quiet"], is_flag=True, is_eager=True, expose_value=False, callback=_set_quiet,
        help="Print no progress and no notes; results and errors stay.",
    ),
    click.Option(
        ["--color"], type=click.Choice(["auto", "always", "never"]), default="auto",
        is_eager=True, expose_value=False, callback=_set_colour,
        help="When to print colours. Default: on a terminal, unless NO_COLOR is set; always, if "
             "FORCE_COLOR is.",
    ),
])  # fmt: skip
"""What every command takes."""


def colour_of_environment() -> bool | None:
    """Return whether the environment asks for colours; None: it leaves that to the terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def coloured(*, err: bool = False) -> bool:
    """Whether what is printed now, to stdout or stderr, has colours."""
    context = click.get_current_context(silent=True)
    chosen = colour_of_environment() if context is None else context.color
    return (sys.stderr if err else sys.stdout).isatty() if chosen is None else chosen


def is_quiet() -> bool:
    """Whether the user wants neither progress nor notes."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def say(text: object, *, err: bool = False, nl: bool = True, colour: bool = False) -> None:
    """Print text of which nothing controls the terminal, whatever the names in it.

    A text that is made of lines has `plain` ones, so that no name forges one.

    Args:
        text: The text.
        err: Print to stderr.
        nl: End the line.
        colour: Whether the text may set colours.
    """
    shown = coloured(err=err) if colour else None  # click would ask the terminal alone
    click.echo(plain_page(str(text), colour=colour), err=err, nl=nl, color=shown)


def tell(record: Any, text: str, *, as_json: bool) -> None:
    """Print what a command found: for machines the record as JSON, for people the text.

    Args:
        record: Types of JSON, and paths.
        text: `plain` lines.
        as_json: Whether ``--json`` was given.
    """
    say(write_json(record, indent=2, default=str) if as_json else text)


def marked(text: str) -> str:
    """Return the lines of a verdict, whose first words have colours where stdout has."""
    if not coloured():
        return text
    return _MARK.sub(lambda found: click.style(found[0], fg=_MARKS[found[0]], bold=True), text)


def note(text: object) -> None:
    """Print what is good to know to stderr, unless the user wants no notes."""
    if not is_quiet():
        say(text, err=True)


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line prints JSON, so that its error is to be JSON, too.

    It is read before click does, which may refuse the line.
    """
    before = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if "--json" not in before:
        return "--json=-" in before
    # Of `verify` it may name a file, and the terminal is a person's then.
    after = before[before.index("--json") + 1 :]
    return before[0] != "verify" or not after or after[0].startswith("-")


def show_error(error: click.ClickException, *, as_json: bool) -> None:
    """Print an error to stderr: a line, or as JSON ``{"error": ..., "exit_code": ...}``."""
    if as_json:
        record: dict[str, Any] = {
            "error": error.format_message(), "exit_code": int(error.exit_code)
        }  # fmt: skip
        say(json.dumps(record), err=True)
    elif isinstance(error, click.UsageError):
        error.show()  # with the usage, and where to find help
    else:
        word = click.style("Error:", fg="red", bold=True) if coloured(err=True) else "Error:"
        say(f"{word} {plain_page(error.format_message())}", err=True, colour=True)


def end_of_readers() -> int:
    """Return the exit code where the reader of the output has gone, and print nothing more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):  # no file of the system's, as in a test
            continue
    os.close(nowhere)
    return ExitCode.BROKEN_PIPE


def print_any_letter() -> None:
    """Let stdout write what its encoding lacks as an escape, as stderr does, not as an error."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors == "strict":
        reconfigure(errors="backslashreplace")
