"""Pascal VOC's XML: boxes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftcam.runtime.errors import TruthError
from support.drawn import photographs, read, voc, write_texts

SIZE = (4, 6)
CAT, DOG = 0, 2


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return photographs(tmp_path / "photos", "a.jpg", "x/b.png", "c.jpg")


def test_corners_count_from_1_and_the_last_is_inside(tmp_path: Path, images: Path) -> None:
    """A box from 1 to 6 is as wide as a photograph of 6 pixels."""
    texts = {
        "a.xml": voc(("dog", (1, 2, 6, 3)), ("Cat", (2.5, 1, 4, 4)), ("emu", (1, 1, 2, 2))),
        "x/b.xml": voc(("hound", (3, 3, 3, 3)), size=None),
        "elsewhere.xml": "no XML",
    }
    found = read(write_texts(tmp_path / "drawn", texts), images)
    assert (found.kind, found.has_masks, found.unknown) == ("voc", False, ["emu"])
    assert found.photographs == ["a.jpg", "x/b.png"]
    truth = found.of("a.jpg", SIZE)
    assert {place: one.boxes.tolist() for place, one in truth.items()} == {
        DOG: [[0, 1, 6, 3]], CAT: [[1.5, 0, 4, 4]],
    }  # fmt: skip
    assert found.of("x/b.png", (9, 9))[DOG].boxes.tolist() == [[2, 2, 3, 3]]
    assert found.of("c.jpg", SIZE) == {}


def test_the_names_alone_find_photographs_in_other_folders(tmp_path: Path, images: Path) -> None:
    texts = {"Annotations/b.xml": voc(("dog", (1, 1, 2, 2)))}
    assert read(write_texts(tmp_path / "drawn", texts), images).photographs == ["x/b.png"]


def test_annotations_may_lie_beside_the_photographs(images: Path) -> None:
    write_texts(images, {"a.xml": voc(("dog", (1, 1, 2, 2)))})
    assert read(images, images).photographs == ["a.jpg"]


def test_a_class_is_difficult_if_all_its_objects_are(tmp_path: Path, images: Path) -> None:
    hard, easy = "<difficult>1</difficult>", "<difficult>0</difficult>"
    text = voc(("dog", (1, 1, 2, 2)), ("dog", (1, 1, 3, 3)), ("cat", (1, 1, 2, 2)))
    parts = text.split("</object>")
    marked = "</object>".join([parts[0] + hard, parts[1] + easy, parts[2] + hard, parts[3]])
    found = read(write_texts(tmp_path / "drawn", {"a.xml": marked}), images).of("a.jpg", SIZE)
    assert (found[DOG].difficult, found[CAT].difficult) == (False, True)
    assert len(found[DOG].boxes) == 2


def test_the_parts_of_an_object_are_no_objects(tmp_path: Path, images: Path) -> None:
    part = "<part><name>cat</name><bndbox><xmin>1</xmin></bndbox></part></object>"
    text = voc(("dog", (1, 1, 2, 2))).replace("</object>", part)
    found = read(write_texts(tmp_path / "drawn", {"a.xml": text}), images)
    assert list(found.of("a.jpg", SIZE)) == [DOG]


def test_a_photograph_of_another_size_is_refused(tmp_path: Path, images: Path) -> None:
    texts = {"a.xml": voc(("dog", (1, 1, 2, 2)))}
    found = read(write_texts(tmp_path / "drawn", texts), images)
    with pytest.raises(
        TruthError, match=r"a.xml was drawn on 6 x 4 pixels, and a.jpg has 12 x 8; g"
    ):
        found.of("a.jpg", (8, 12))
    with pytest.raises(TruthError, match="when it stands upright, as its EXIF data say"):
        found.of("a.jpg", (6, 4))
    nameless = voc(("dog", (1, 1, 2, 2)), size=(0, 0))  # as some programs write
    found = read(write_texts(tmp_path / "drawn", {"a.xml": nameless}), images)
    assert list(found.of("a.jpg", (8, 12))) == [DOG]


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>'
    "<annotation><object><name>&y;</name></object></annotation>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.xml is no XML: no element found"),
        ("<annotation>", "is no XML"),
        (BOMB, "has a DOCTYPE"),
        ("<annotation>\0</annotation>", "has a DOCTYPE or is not UTF-8"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is no XML"),
        ('<?xml version="1.0" encoding="utf-7"?><annotation/>', "is no XML"),
        ("<annotation>&x;</annotation>", "is no XML: undefined entity"),
        ("<svg/>", "begins with <annotation>"),
        ("<annotation/>", "nothing is drawn on the 1 photographs"),
        ("<annotation><object/></annotation>", "an object has no name"),
        (voc(("dog", (1, 2, 3, float("nan")))), "bndbox of an object has no numbers xmin, ymin"),
        ("<annotation><object><name>dog</name></object></annotation>", "bndbox of an object"),
        (voc(("okapi", (1, 1, 2, 2))), "no label of the model"),
        ("<annotation>" + "<a>" * 200_000 + "</a>" * 200_000 + "</annotation>", "nothing is drawn"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path, images: Path) -> None:
    with pytest.raises(TruthError, match=message):
        read(write_texts(tmp_path / "drawn", {"a.xml": text}), images)


def test_utf_16_cannot_hide_a_doctype(tmp_path: Path, images: Path) -> None:
    (write_texts(tmp_path / "drawn", {"c.xml": voc()}) / "a.xml").write_bytes(BOMB.encode("utf-16"))
    with pytest.raises(TruthError, match="is not UTF-8"):
        read(tmp_path / "drawn", images)


def test_without_labels_names_find_no_class(tmp_path: Path, images: Path) -> None:
    with pytest.raises(TruthError, match=r"\('dog'\), and the model stores no labels"):
        read(write_texts(tmp_path / "drawn", {"a.xml": voc(("dog", (1, 1, 2, 2)))}), images, None)
