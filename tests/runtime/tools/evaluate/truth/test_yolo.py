"""YOLO's rows, and the class names beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftcam.runtime.errors import TruthError
from graftcam.runtime.tools.evaluate.truth.yolo_names import yaml_names
from support.drawn import photographs, pixels, read, write_texts

SIZE = (4, 6)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return photographs(tmp_path / "data" / "images", "a.jpg", "b.jpg", "train/c.jpg")


def test_boxes_are_shares_about_a_centre(tmp_path: Path, images: Path) -> None:
    texts = {"a.txt": "1 0.5 0.5 0.5 0.5\n\n2 0 0 0.5 1\n1 0.75 1 0.5 0.5\n", "b.txt": ""}
    found = read(write_texts(tmp_path / "drawn", texts), images)
    assert (found.kind, found.has_masks, found.unknown) == ("yolo", False, [])
    assert found.photographs == ["a.jpg"]
    truth = found.of("a.jpg", SIZE)
    assert {place: one.boxes.tolist() for place, one in truth.items()} == {
        1: [[1.5, 1, 4.5, 3], [3, 3, 6, 4]], 2: [[0, 0, 1.5, 2]],
    }  # fmt: skip
    # Shares follow the photograph's size, whatever it is.
    assert found.of("a.jpg", (8, 6))[1].boxes[0].tolist() == [1.5, 2, 4.5, 6]
    assert found.of("b.jpg", SIZE) == {}


def test_polygons_are_masks_with_boxes(tmp_path: Path, images: Path) -> None:
    row = "0 0.0 0.25 0.5 0.25 0.5 1.0 0.0 1.0"
    found = read(write_texts(tmp_path / "drawn", {"a.txt": row}), images)
    assert found.has_masks
    truth = found.of("a.jpg", SIZE)[0]
    assert truth.boxes.tolist() == [[0, 1, 3, 4]]
    assert truth.mask is not None
    assert (truth.mask == pixels("......", "###...", "###...", "###...")).all()


def test_a_box_without_extent_is_dropped_and_counted(tmp_path: Path, images: Path) -> None:
    texts = {"a.txt": "0 0.5 0.5 0 0.5\n0 1.5 0.5 0.5 0.5\n0 0.5 0.5 1 1"}
    found = read(write_texts(tmp_path / "drawn", texts), images)
    assert found.of("a.jpg", SIZE)[0].boxes.tolist() == [[0, 0, 6, 4]]
    assert found.dropped == 2


@pytest.mark.parametrize("place", ["labels/data.yaml", "data.yaml", "labels/train/classes.txt"])
def test_names_beside_the_labels_or_above(place: str, tmp_path: Path, images: Path) -> None:
    names = "names: [zebra, cat, hot_dog]" if place.endswith("yaml") else "zebra\ncat\nhot-dog\n"
    texts = {"labels/train/c.txt": "2 0.5 0.5 1 1\n0 0.5 0.5 1 1\n9 0.5 0.5 1 1", place: names}
    write_texts(images.parent, texts)
    found = read(images.parent / "labels" / "train", images)
    assert list(found.of("train/c.jpg", SIZE)) == [1]  # "hot dog" of the model
    assert found.unknown == ["zebra", "9"]


def test_without_names_or_labels_numbers_are_the_models(tmp_path: Path, images: Path) -> None:
    texts = {"a.txt": "2 0.5 0.5 1 1\n80 0.5 0.5 1 1"}
    found = read(write_texts(tmp_path / "drawn", texts), images)
    assert (list(found.of("a.jpg", SIZE)), found.unknown) == ([2], ["80"])
    write_texts(tmp_path / "drawn", {"classes.txt": "a\nb\ncat"})
    assert list(read(tmp_path / "drawn", images).of("a.jpg", SIZE)) == [0]
    assert list(read(tmp_path / "drawn", images, labels=None).of("a.jpg", SIZE)) == [2]
    with pytest.raises(TruthError, match="about class 2, and the model has the classes 0 to 1"):
        read(tmp_path / "drawn", images, labels=None, classes=2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0.5 0.5 1", "a.txt:2: no row of YOLO"),
        ("0 0.5 0.5 1 1 0.9", "a.txt:2: no row of YOLO"),  # with a score: a prediction
        ("0 a b c d", "a.txt:2: no row of YOLO"),
        ("-1 0.5 0.5 1 1", "a.txt:2: no row of YOLO"),
        ("0.5 0.5 0.5 1 1", "a.txt:2: no row of YOLO"),
        ("inf 0.5 0.5 1 1", "a.txt:2: no row of YOLO"),
        ("0 320 240 100 50", "a.txt:2: the numbers are no shares"),
        ("0 nan 0.5 1 1", "a.txt:2: the numbers are no shares"),
    ],
)
def test_damaged_rows(row: str, message: str, tmp_path: Path, images: Path) -> None:
    with pytest.raises(TruthError, match=message):
        read(write_texts(tmp_path / "drawn", {"a.txt": f"0 0.5 0.5 1 1\n{row}"}), images)


def test_no_row_at_all(tmp_path: Path, images: Path) -> None:
    with pytest.raises(TruthError, match="nothing is drawn on the 2 photographs"):
        read(write_texts(tmp_path / "drawn", {"a.txt": "", "b.txt": "\n"}), images)


@pytest.mark.parametrize(
    "text",
    [
        "path: x\nnames: [person, 'hot dog', \"C#\"]\nnc: 3",
        "names:\n- person\n- hot dog\n- 'C#'\nnc: 3",
        'names:  # three\n  - person # a\n\n  - hot dog\n  - "C#"\n# end\nnc: 3',
        "names:\n  0: person\n  2: C#\n  1: 'hot dog'\n",
        "names: {0: person, 1: hot dog, 2: 'C#'}",
        "names: [ person,  # first\n         hot dog,\n 'C#', ]\nnc: 3",
        "names:\r\n  0: person\r\n  1: hot dog\r\n  2: C#\r\n",
    ],
)
def test_names_in_yaml(text: str) -> None:
    assert yaml_names(text, Path("x")) == {0: "person", 1: "hot dog", 2: "C#"}


def test_quotation_marks_in_yaml() -> None:
    text = "names: ['it''s', \"a \\\"b\\\"\", bird's nest, 'a, b', 7]"
    expected = ["it's", 'a "b"', "bird's nest", "a, b", "7"]
    assert list((yaml_names(text, Path("x")) or {}).values()) == expected
    block = "names:\n  - 'a # b'  # c\n  - bird's nest\n"
    assert yaml_names(block, Path("x")) == {0: "a # b", 1: "bird's nest"}
    assert yaml_names("names:\n  3: 'a # b'  # c\n", Path("x")) == {3: "a # b"}


def test_yaml_without_names_is_passed_over(tmp_path: Path, images: Path) -> None:
    assert yaml_names("nc: 3\nother_names: [a]", Path("x")) is None
    texts = {"a.txt": "0 0.5 0.5 1 1", "data.yaml": "nc: 3", "classes.txt": "dog"}
    found = read(write_texts(tmp_path / "drawn", texts), images)
    assert list(found.of("a.jpg", SIZE)) == [2]


@pytest.mark.parametrize(
    "text",
    [
        "names: person", "names: [a, b", "names: []", "names:", "names: [[a], b]",
        "names: [a b: {}]", "names:\n  0:\n    name: a", "names:\n - name: a", "names: *anchor",
        'names: ["a]', "names: [a 'b' c",
        "names: [" + "[" * 5000, 'names: ["' + "\\" * 5000, "names: [" + "a" * 5000,
    ],
)  # fmt: skip
def test_other_yaml_is_refused(text: str) -> None:
    with pytest.raises(TruthError, match="not written as a list or as numbers with names"):
        yaml_names(text, Path("x"))
