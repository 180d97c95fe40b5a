"""`read_yolo` reads YOLO's text: a row for each object of one photograph in each file.

A row is ``class x y width height`` of a box about its centre, or ``class x1 y1 x2 y2 x3 y3 ...`` of
a polygon, as shares of the photograph's width and height (https://docs.ultralytics.com/datasets).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....errors import TruthError
from ....limits import NOTE_BYTES
from ....reading import read_file
from .drawn import DrawnObject, DrawnObjects, DrawnPhotograph
from .subject import Subject
from .truth import Annotations
from .yolo_names import find_names

_FARTHEST = 2.0  # of a share; beyond, it is a number of pixels
_Row = tuple[int, list[float]]


def read_yolo(source: Path, files: dict[str, str], subject: Subject) -> Annotations:
    """Read the text files of a folder.

    Args:
        source: The folder.
        files: The files of photographs: the photograph by the file, both relative with ``/``.
        subject: Whose annotations are wanted.

    Raises:
        TruthError: A row is damaged, or fits no class.
    """
    rows = {name: _rows(source / name) for name in files}
    seen = sorted({number for every in rows.values() for number, _ in every})
    found, unknown = _classes(seen, source, subject)
    photographs = {
        files[name]: DrawnPhotograph(
            str(source / name), relative=True,
            objects=[_object(found[one], shares) for one, shares in every if one in found],
        )
        for name, every in rows.items()
    }  # fmt: skip
    return DrawnObjects("yolo", photographs, unknown)


def _classes(
    seen: Sequence[int], source: Path, subject: Subject
) -> tuple[dict[int, int], list[str]]:
    """Return the model's class of each number in the rows, and names of those without one."""
    names = find_names(source) if subject.labelled else None
    if names is None:  # the numbers are the model's
        found = {one: one for one in seen if one < subject.classes}
        if seen and not found:
            raise TruthError(
                f"{source} is about class {seen[0]}, and the model has the classes 0 to "
                f"{subject.classes - 1}; give labels of its classes"
            )
        return found, [str(one) for one in seen if one not in found]
    called = {one: names.get(one, str(one)) for one in seen}
    by_name, unknown = subject.names.find_all(called.values(), source)
    return {one: by_name[name] for one, name in called.items() if name in by_name}, unknown


def _rows(path: Path) -> list[_Row]:
    text = read_file(path, TruthError, NOTE_BYTES, "annotations").decode("utf-8-sig", "replace")
    return [_row(line, f"{path}:{number}") for number, line in enumerate(text.splitlines(), 1)
            if line.strip()]  # fmt: skip


def _row(line: str, where: str) -> _Row:
    try:
        first, *shares = map(float, line.split())
    except ValueError:
        first, shares = math.nan, []
    if len(shares) < 4 or len(shares) % 2 or not (first >= 0 and first.is_integer()):
        raise TruthError(
            f"{where}: no row of YOLO; write 'class x y width height', or a class and the corners "
            "of a polygon"
        )
    if not all(abs(share) <= _FARTHEST for share in shares):
        raise TruthError(
            f"{where}: the numbers are no shares of the photograph's sides; divide them by width "
            "and height"
        )
    return int(first), shares


def _object(class_id: int, shares: list[float]) -> DrawnObject:
    if len(shares) > 4:
        corners = np.array(shares).reshape(-1, 2)
        return DrawnObject(class_id, (*corners.min(axis=0), *corners.max(axis=0)), [corners])
    x, y, width, height = shares
    return DrawnObject(class_id, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
