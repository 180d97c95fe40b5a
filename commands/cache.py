"""`graftcam cache` lists the artifacts that `graftcam explain` made of other models."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from ..runtime.cache import VARIABLE, Cache, Entry
from ..runtime.json_text import write_json
from ..runtime.plain_text import plain, plain_lines
from .common import command, say
from .options import json_option

_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@command("graftcam cache", "graftcam cache --clear")
@click.option("--clear", is_flag=True, help="Remove all of them.")
@json_option
def cache(clear: bool, as_json: bool) -> None:
    """List the artifacts that `graftcam explain` made of ONNX files and named models.

    They are in the folder $GRAFTCAM_CACHE, else in graftcam in $XDG_CACHE_HOME or ~/.cache. Each is
    used for as long as the model, the settings and the versions of all packages are the same.
    """
    kept = Cache()
    if clear:
        count, size = kept.clear()
        say(
            write_json({"folder": str(kept.folder), "removed": count, "bytes": size}, indent=2)
            if as_json
            else plain(f"removed {_counted(count)}, {size / 1e6:.1f} MB, from {kept.folder}")
        )
        return
    entries = kept.entries()
    if as_json:
        rows = [{**asdict(one), "path": str(one.path)} for one in entries]
        say(write_json({"folder": str(kept.folder), "entries": rows}, indent=2))
        return
    total = sum(one.bytes for one in entries)
    place = f"{kept.folder}: {_counted(len(entries))}, {total / 1e6:.1f} MB"
    say(plain_lines([*map(_line, entries), f"{place} (another folder: {VARIABLE})"]))


def _line(entry: Entry) -> str:
    seconds = max(0, round(time.time() - entry.made))
    length, unit = next((one for one in _AGES if seconds >= one[0]), _AGES[-1])
    return f"{entry.bytes / 1e6:8.1f} MB  {seconds // length:4} {unit:<3}  {entry.source}"


def _counted(count: int) -> str:
    return f"{count} artifact{'s' * (count != 1)}"
