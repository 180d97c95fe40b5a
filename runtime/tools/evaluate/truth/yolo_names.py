"""`find_names` finds the class names that lie beside YOLO's labels, in YAML or a text file.

Of YAML it reads what data sets write under ``names:``, a list or numbers with names, in lines or in
brackets, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from ....errors import TruthError
from ....limits import LABEL_BYTES
from ....reading import read_file

Names: TypeAlias = dict[int, str]
_Entry: TypeAlias = tuple[int | None, str]  # the number of a class, if it is written, and its name

_FOLDERS = 3  # the labels' own, and two above: labels/train lies two below the data set's
_NAMES = re.compile(r"^names[ \t]*:(.*)$", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPED = re.compile(r"\\(.)")

# What is in front of a name is never part of it: "?+" does not give it back.
_NUMBER = r"(?:(?P<number>\d{1,9})[ \t]*:[ \t]+)?+"
_QUOTED = r""""(?P<double>(?:[^"\\\n]|\\.)*)"|'(?P<single>(?:[^'\n]|'')*)'"""
_IN_BRACKETS = re.compile(rf"{_NUMBER}(?:{_QUOTED}|(?P<bare>[^\s,\[\]{{}}#'\"][^,\[\]{{}}#\n]*))")
_IN_LINE = re.compile(rf"[ \t]*(?:-[ \t]+)?+{_NUMBER}(?:{_QUOTED}|(?P<bare>[^\s'\"].*))")
# Spaces, line breaks and comments; a comma; the end.
_BETWEEN = re.compile(r"(?:\s|#[^\n]*\n)*(?P<comma>,?)(?:\s|#[^\n]*\n)*(?P<end>[\]}]?)")


def find_names(folder: Path) -> Names | None:
    """Return the class names by number; None: no file beside the labels has any.

    The folder is searched first, then the two above it.

    Raises:
        TruthError: A file cannot be read, or its names are written in another way.
    """
    for place in [folder.resolve(), *folder.resolve().parents][:_FOLDERS]:
        for name, names_in in _FILES.items():
            path = place / name
            if path.is_file():
                data = read_file(path, TruthError, LABEL_BYTES, "class names")
                if found := names_in(data.decode("utf-8-sig", "replace"), path):
                    return found
    return None


def yaml_names(text: str, path: Path) -> Names | None:
    """Return what stands under ``names:``; None: there is no such entry.

    Args:
        text: The file.
        path: Its path, for messages.

    Raises:
        TruthError: It is written in a way that is not read.
    """
    start = _NAMES.search(text)
    if start is None:
        return None
    inline = _COMMENT.sub("", start[1]).strip()
    if inline[:1] in ("[", "{"):
        entries = list(_in_brackets(text, text.index(inline[0], start.start(1)) + 1))
    else:
        entries = [None] if inline else list(_in_lines(text[start.end() + 1 :]))
    found = [one for one in entries if one is not None]
    if not found or len(found) < len(entries):
        raise TruthError(
            f"{path}: the names are not written as a list or as numbers with names; write them so, "
            "or remove the file"
        )
    return {place if number is None else number: name for place, (number, name) in enumerate(found)}


def line_names(text: str, _: Path) -> Names:
    """Return the names in a text of one in each line."""
    lines = enumerate(text.splitlines())
    return {place: line.strip() for place, line in lines if line.strip()}


_FILES: dict[str, Callable[[str, Path], Names | None]] = {
    "data.yaml": yaml_names, "data.yml": yaml_names, "dataset.yaml": yaml_names,
    "classes.txt": line_names, "obj.names": line_names,
}  # fmt: skip
NAMES_FILES = tuple(_FILES)
"""Files beside labels that hold class names."""


def _in_brackets(text: str, place: int) -> Iterator[_Entry | None]:
    """Yield the entries up to the bracket's end, and None for something else."""
    between = _BETWEEN.match(text, place)
    while between and not between["end"]:
        found = _IN_BRACKETS.match(text, between.end())
        yield _entry(found)
        if found is None:
            return
        between = _BETWEEN.match(text, found.end())
        if between is None or not (between["comma"] or between["end"]):
            yield None
            return


def _in_lines(text: str) -> Iterator[_Entry | None]:
    """Yield the entry in each line up to one that is not indented, and None for something else."""
    for line in text.splitlines():
        short = _COMMENT.sub("", line).rstrip()
        if not short:
            continue
        if short[0] not in " \t-":
            return
        # The sign of a comment may stand in quotation marks.
        yield _entry(_IN_LINE.fullmatch(short) or _IN_LINE.match(line))


def _entry(found: re.Match[str] | None) -> _Entry | None:
    if found is None:
        return None
    number = int(found["number"]) if found["number"] else None
    if found["double"] is not None:
        return number, _ESCAPED.sub(r"\1", found["double"])
    if found["single"] is not None:
        return number, found["single"].replace("''", "'")
    name = found["bare"].strip()
    return None if name.endswith(":") or ": " in name else (number, name)
