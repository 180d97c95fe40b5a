"""`open_option` is ``--open``: the system's viewer shows what a command has written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click import option

from ..runtime.errors import RenderError
from ..runtime.plain_text import plain
from .sections import RESULTS, under
from .terminal import say

open_option = under(RESULTS, option(
    "--open", "opened", is_flag=True,
    help="Show what was written in the system's viewer: the file, or the folder of several.",
))  # fmt: skip


def open_written(files: Sequence[Path]) -> None:
    """Open a file, or the folder that has several; say so where that is impossible.

    What is written is there in any case, so that this is no failure.
    """
    from ..runtime.output.show import open_in_viewer

    if not files:
        say("nothing was written that could be opened", err=True)
        return
    path = files[0] if len({*files}) == 1 else files[0].parent
    try:
        open_in_viewer(path)
    except RenderError as error:
        say(plain(str(error)), err=True)
