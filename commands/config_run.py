"""`export_all` exports the models of a release, one after the other."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from typing import Any

import click

from ..runtime.errors import GraftcamError
from ..runtime.exit_codes import ExitCode
from ..runtime.plain_text import plain
from .config import Entry, Lock
from .terminal import note, say, tell


def export_all(
    entries: Sequence[Entry], lock: Lock, command: click.Command, *, fresh: bool, as_json: bool
) -> int:
    """Export the models that are not up to date, and return the exit code.

    A model that fails does not stop the others. The exit code is 1 if one failed, 3 if some could
    not be verified and the others are right. As JSON each model is a row: its ``state`` is
    ``exported``, ``current``, ``unproven`` or ``failed``.
    """
    rows: list[dict[str, Any]] = []
    codes: set[int] = set()
    for entry in entries:
        row: dict[str, Any] = {"model": entry.name, "artifact": str(entry.path)}
        printed = io.StringIO()
        try:
            if not fresh and lock.is_current(entry):
                row["state"] = "current"
                if not as_json:
                    say(plain(f"{entry.name}: {entry.path} is up to date"))
                continue
            note(plain(f"{entry.name}:"))
            with contextlib.redirect_stdout(printed) if as_json else contextlib.nullcontext():
                _export(entry, command, as_json=as_json)
            lock.record(entry)
            row["state"] = "exported"
        except SystemExit as end:  # written, but only in part proven
            codes.add(int(end.code or 0))
            row["state"] = "unproven"
        except (GraftcamError, click.ClickException) as error:
            reason = error.format_message() if isinstance(error, click.ClickException) else error
            say(plain(f"{entry.name}: failed:") + f" {reason}", err=True)
            codes.add(error.exit_code)
            row |= {"state": "failed", "error": str(reason), "exit_code": int(error.exit_code)}
        finally:
            report = printed.getvalue()
            rows.append({**row, "report": json.loads(report)} if report else row)
    if as_json:
        tell(rows, "", as_json=True)
    return ExitCode.FAILED if ExitCode.FAILED in codes else max(codes, default=ExitCode.DONE)


def _export(entry: Entry, command: click.Command, *, as_json: bool) -> None:
    arguments = [*entry.arguments, *(["--json"] if as_json else [])]
    # The parent gives it --quiet and --color.
    parent = click.get_current_context(silent=True)
    command.main(arguments, standalone_mode=False, parent=parent)
