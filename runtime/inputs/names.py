"""`Names` makes unique names for images and for the files that are written for them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..limits import NAME_BYTES

_DIGITS = 12  # of a digest: enough to tell the files of a folder apart


def file_of(image: object) -> str | Path | None:
    """Return the file that an image comes from, if it has one.

    Open files, and images that Pillow opened, have an attribute with the name of their file.
    """
    file = image if isinstance(image, (str, Path)) else None
    for attribute in ("filename", "name"):
        file = file or getattr(image, attribute, None)
    return file if isinstance(file, (str, Path)) else None


def image_name(image: object) -> str:
    """Return the name of an image's file without its suffix; ``image`` if there is no file."""
    file = file_of(image)
    if file is None:
        return "image"
    stem = Path(file).stem
    return (Path(stem).stem if stem.lower().endswith(".nii") else stem) or "image"


def file_name(stem: str, suffix: str) -> str:
    """Return the name of a file: ``stem`` and ``suffix``, if file systems allow one so long.

    Else the start of ``stem`` with a digest of it, so that two long names stay two.
    """
    whole, end = _bytes(stem), _bytes(suffix)
    if len(whole) + len(end) <= NAME_BYTES:
        return f"{stem}{suffix}"
    digest = hashlib.sha256(whole).hexdigest()[:_DIGITS]
    room = NAME_BYTES - len(end) - _DIGITS - 1
    # A letter that the cut divides is left out.
    return f"{whole[:room].decode(errors='ignore')}-{digest}{suffix}"


def _bytes(text: str) -> bytes:
    # Names of files may hold halves of surrogate pairs.
    return text.encode("utf-8", "surrogatepass")


class Names:
    """Makes names unique, also if case is ignored, as some file systems do.

    Memory grows with the number of different names, not with their repetitions.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # by name in lower case: the last number that it got

    def distinct(self, name: str) -> str:
        """Return ``name`` if it is free, else ``name-2``, ``name-3`` and so on."""
        key = name.casefold()
        number = self._last.get(key, 0) + 1
        while self._taken(_numbered(key, number)):
            number += 1
        self._last[key] = number
        return _numbered(name, number)

    def _taken(self, key: str) -> bool:
        stem, _, digits = key.rpartition("-")
        numbered = digits.isdecimal() and 2 <= int(digits) <= self._last.get(stem, 0)
        return key in self._last or (numbered and key == _numbered(stem, int(digits)))


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
