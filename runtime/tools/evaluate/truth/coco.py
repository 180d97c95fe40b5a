"""`read_coco` reads COCO's JSON: boxes, polygons and run lengths of all photographs in one file.

The format is that of ``instances_*.json`` (https://cocodataset.org/#format-data). A file of 450 MB
becomes a few records and arrays while it is read. Crowds (``iscrowd``) count as objects: evidence
on a crowd of a class is evidence on the class.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np

from ....errors import TruthError
from ....limits import TRUTH_BYTES
from ....reading import read_file
from ....strict_json import read_json
from .drawn import DrawnObject, DrawnObjects, DrawnPhotograph
from .outlines import Polygon, RunLengths
from .photographs import pair, unpaired
from .subject import Subject
from .truth import Annotations

_PARTS = ("images", "annotations", "categories")
_Id = int | str


@dataclass(slots=True, eq=False)
class _Entry:
    """One entry of ``annotations``, with polygons as arrays."""

    image: Any
    category: Any
    box: Any
    outline: Any


class _Damaged(Exception):  # noqa: N818  it never leaves this module
    """What is wrong with an entry."""


def read_coco(source: Path, subject: Subject) -> Annotations:
    """Read a JSON file of annotations.

    Args:
        source: The file.
        subject: Whose annotations are wanted.

    Raises:
        TruthError: It is no such file, is damaged or too large, or fits neither the photographs nor
            the labels.
    """
    try:
        data = read_json(read_file(source, TruthError, TRUTH_BYTES, "annotations"), _compact)
    except ValueError as error:
        raise TruthError(f"{source} is no JSON: {error}; write the file again") from None
    parts = [data.get(part) if isinstance(data, dict) else None for part in _PARTS]
    if not all(isinstance(part, list) for part in parts):
        raise TruthError(
            f"{source} is no annotation file of COCO: that has the lists {', '.join(_PARTS)}; give "
            "such a file, or a folder of XML (Pascal VOC), of text (YOLO) or of masks"
        )
    images, entries, categories = cast("list[list[Any]]", parts)
    try:
        return _annotations(source, subject, images, entries, categories)
    except _Damaged as error:
        raise TruthError(f"{source}: {error}; write the file again") from None


def _compact(entry: dict[str, Any]) -> Any:
    """Return an annotation as a small record; other objects as they are."""
    if "image_id" not in entry or "category_id" not in entry:
        return entry
    outline = entry.get("segmentation")
    if isinstance(outline, list):
        try:
            # An array takes numbers only, and 8 bytes for each instead of 32.
            outline = [array("d", part) for part in cast("list[Any]", outline)]
        except TypeError:
            outline = False
    return _Entry(entry["image_id"], entry["category_id"], entry.get("bbox"), outline)


def _annotations(
    source: Path, subject: Subject, images: list[Any], entries: list[Any], categories: list[Any]
) -> Annotations:
    names = _named(images, "images", "file_name")
    pairs = pair([_path(name) for name in names.values()], subject.photographs)
    if not pairs:
        raise unpaired(names.values(), subject.photographs, source, subject.folder)
    wanted = {one: pairs[_path(name)] for one, name in names.items() if _path(name) in pairs}
    photographs: dict[str, DrawnPhotograph] = {}
    for image in images:
        if image["id"] in wanted:
            place = wanted[image["id"]]
            photographs.setdefault(
                place, DrawnPhotograph(f"{source}: {image['file_name']}", _size(image))
            )
    category_names = _named(categories, "categories", "name")
    # Entries of other photographs are not looked at.
    ours = [
        (number, entry, _known(entry.category, category_names, number, "category_id"))
        for number, entry in enumerate(entries)
        if _is_for(entry, number, wanted)
    ]
    found, unknown = subject.names.find_all((name for _, _, name in ours), source)
    for number, entry, name in ours:
        if name in found:
            drawn = photographs[wanted[entry.image]]
            drawn.objects.append(_object(entry, number, found[name]))
    return DrawnObjects("coco", photographs, unknown)


def _named(entries: list[Any], part: str, key: str) -> dict[_Id, str]:
    """Return the names of images or categories by their id."""
    found: dict[_Id, str] = {}
    for number, entry in enumerate(entries):
        name = entry.get(key) if isinstance(entry, dict) else None
        place = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(place, _Id):
            raise _Damaged(f"{part}[{number}] has no id and {key}")
        if found.setdefault(place, name) != name:
            raise _Damaged(f"{part}[{number}] has the id of another one, {place}")
    return found


def _is_for(entry: Any, number: int, wanted: dict[_Id, str]) -> bool:
    if not isinstance(entry, _Entry):
        raise _Damaged(f"annotations[{number}] has no image_id and category_id")
    return isinstance(entry.image, _Id) and entry.image in wanted


def _known(value: Any, names: dict[_Id, str], number: int, key: str) -> str:
    if not isinstance(value, _Id) or value not in names:
        raise _Damaged(f"{key} of annotations[{number}] is none of the categories")
    return names[value]


def _path(name: str) -> str:
    """Return a file's name with ``/`` and without the folder ``./``."""
    return name.replace("\\", "/").removeprefix("./")


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    size = image.get("height"), image.get("width")
    whole = all(isinstance(side, int) and side > 0 for side in size)
    return cast("tuple[int, int]", size) if whole else None


def _object(entry: _Entry, number: int, class_id: int) -> DrawnObject:
    outline = _outline(entry.outline, number)
    if entry.box is None and isinstance(outline, list):
        corners = np.concatenate(outline)
        return DrawnObject(class_id, (*corners.min(axis=0), *corners.max(axis=0)), outline)
    if not _is_numbers(entry.box, 4):
        raise _Damaged(f"bbox of annotations[{number}] is not x, y, width, height")
    left, top, width, height = map(float, entry.box)
    return DrawnObject(class_id, (left, top, left + width, top + height), outline)


def _outline(value: Any, number: int) -> list[Polygon] | RunLengths | None:
    """Return an outline as polygons or run lengths; None: there is none."""
    if value is None or value == []:
        return None
    if isinstance(value, list):
        parts = [np.frombuffer(part, np.float64) for part in cast("list[Any]", value)]
        if all(len(part) and len(part) % 2 == 0 for part in parts):
            return [part.reshape(-1, 2) for part in parts]
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        counts, size = found.get("counts"), found.get("size")
        if _is_numbers(size, 2) and all(isinstance(side, int) and side > 0 for side in size):
            height, width = size
            if isinstance(counts, str):
                return RunLengths(counts, (height, width))
            if isinstance(counts, list) and all(type(run) is int for run in counts):
                try:
                    return RunLengths(np.array(counts, np.int64), (height, width))
                except OverflowError:
                    pass
    raise _Damaged(
        f"segmentation of annotations[{number}] is neither polygons (x, y, ...) nor run lengths"
    )


def _is_numbers(value: Any, count: int) -> TypeGuard[list[Any]]:
    return (
        isinstance(value, list)
        and len(cast("Sequence[Any]", value)) == count
        and all(type(one) in (int, float) for one in cast("Sequence[Any]", value))
    )
