"""`read_voc` reads Pascal VOC's XML: the boxes of one photograph in each file.

The format is that of the folder ``Annotations`` (Everingham et al. 2010, "The Pascal Visual Object
Classes Challenge"). Corners count pixels from 1, and the last is inside the box.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from ....errors import TruthError
from ....limits import NOTE_BYTES
from ....reading import read_file
from .drawn import DrawnObject, DrawnObjects, DrawnPhotograph
from .subject import Subject
from .truth import Annotations

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(source: Path, files: dict[str, str], subject: Subject) -> Annotations:
    """Read the XML files of a folder.

    Args:
        source: The folder.
        files: The files of photographs: the photograph by the file, both relative with ``/``.
        subject: Whose annotations are wanted.

    Raises:
        TruthError: A file is damaged, or fits no label.
    """
    trees = {name: _tree(source / name) for name in files}
    every = [
        (name, one, _text(one, "name", source / name))
        for name, tree in trees.items()
        for one in tree.findall("object")
    ]
    found, unknown = subject.names.find_all((label for _, _, label in every), source)
    drawn = {name: DrawnPhotograph(str(source / name), _size(tree)) for name, tree in trees.items()}
    for name, one, label in every:
        if label in found:
            box = _box(one, source / name)
            difficult = one.findtext("difficult", "").strip() == "1"
            drawn[name].objects.append(DrawnObject(found[label], box, difficult=difficult))
    return DrawnObjects("voc", {files[name]: one for name, one in drawn.items()}, unknown)


def _tree(path: Path) -> ElementTree.Element:
    """Return the root of an XML file that defines no entities of its own."""
    data = read_file(path, TruthError, NOTE_BYTES, "annotations")
    # A few entities can become gigabytes. In all encodings without zero bytes that the parser
    # takes, the word is written as in ASCII.
    if b"<!DOCTYPE" in data or b"\0" in data:
        raise TruthError(
            f"{path} has a DOCTYPE or is not UTF-8, which Pascal VOC's files never need; write it "
            "again without"
        )
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise TruthError(f"{path} is no XML: {error}; write the file again") from None
    if root.tag != "annotation":
        raise TruthError(
            f"{path} is no annotation of Pascal VOC: that begins with <annotation>; move other XML "
            "out of the folder"
        )
    return root


def _text(one: ElementTree.Element, name: str, path: Path) -> str:
    text = one.findtext(name, "").strip()
    if not text:
        raise TruthError(f"{path}: an object has no {name}; write the file again")
    return text


def _box(one: ElementTree.Element, path: Path) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(one.findtext(f"bndbox/{end}", "")) for end in _CORNERS)
    except ValueError:
        left = top = right = bottom = math.nan
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise TruthError(
            f"{path}: the bndbox of an object has no numbers {', '.join(_CORNERS)}; write the file "
            "again"
        )
    return left - 1, top - 1, right, bottom


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return height and width; None where the file does not know them, or says 0."""
    try:
        height, width = (int(root.findtext(f"size/{side}", "")) for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None
