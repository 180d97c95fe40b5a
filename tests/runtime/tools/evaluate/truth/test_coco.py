"""COCO's JSON: boxes, polygons, run lengths, names, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime import limits
from graftcam.runtime.errors import TruthError
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.tools.evaluate.truth import coco as reader
from support.drawn import coco, photographs, pixels, read, write_coco, write_turned_photograph

SIZE = (4, 6)
DOG = 2


def one(**changes: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 3]} | changes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return photographs(tmp_path / "photos", "a.jpg", "b.jpg")


def test_boxes(tmp_path: Path, images: Path) -> None:
    annotations = [one(), one(category_id=8), one(bbox=[4.5, 0, 9, 1.5], iscrowd=1)]
    found = read(write_coco(tmp_path / "x.json", annotations=annotations), images)
    assert (found.kind, found.has_masks, found.unknown) == ("coco", False, ["zebra"])
    assert found.photographs == ["a.jpg"]
    truth = found.of("a.jpg", SIZE)
    assert list(truth) == [DOG]
    assert truth[DOG].boxes.tolist() == [[1, 1, 3, 4], [4.5, 0, 6, 1.5]]  # clipped at the border
    assert truth[DOG].boxes.dtype == np.float64
    assert truth[DOG].mask is None
    assert not truth[DOG].difficult
    assert found.of("b.jpg", SIZE) == found.of("c.jpg", SIZE) == {}


def test_polygons_and_run_lengths_become_one_mask(tmp_path: Path, images: Path) -> None:
    square = [[0, 0, 2, 0, 2, 2, 0, 2]]
    crowd = {"counts": [19, 1, 3, 1], "size": [4, 6]}
    annotations = [one(segmentation=square), one(segmentation=crowd, iscrowd=1)]
    found = read(write_coco(tmp_path / "x.json", annotations=annotations), images)
    assert found.has_masks
    mask = found.of("a.jpg", SIZE)[DOG].mask
    assert mask is not None
    assert (mask == pixels("##....", "##....", "......", "....##")).all()


def test_compressed_run_lengths(tmp_path: Path, images: Path) -> None:
    drawn = {"counts": "2131NO142LM001110N02ON011O10N00023", "size": [7, 9]}
    image = [{"id": 1, "file_name": "a.jpg"}]
    found = read(
        write_coco(tmp_path / "x.json", images=image, annotations=[one(segmentation=drawn)]), images
    )
    mask = found.of("a.jpg", (7, 9))[DOG].mask
    assert mask is not None
    assert "".join("#" if pixel else "." for pixel in mask[2]) == "########."


def test_there_is_a_mask_only_if_all_objects_have_one(tmp_path: Path, images: Path) -> None:
    annotations = [one(segmentation=[[0, 0, 2, 0, 2, 2]]), one(segmentation=[])]
    found = read(write_coco(tmp_path / "x.json", annotations=annotations), images)
    assert found.has_masks
    assert found.of("a.jpg", SIZE)[DOG].mask is None


def test_an_outline_without_a_pixel_is_none(tmp_path: Path, images: Path) -> None:
    thin = [one(segmentation=[[1, 1, 1.2, 1, 1.2, 1.2]])]
    truth = read(write_coco(tmp_path / "x.json", annotations=thin), images).of("a.jpg", SIZE)
    assert truth[DOG].mask is None


def test_without_a_box_the_polygon_tells_it(tmp_path: Path, images: Path) -> None:
    bare = {
        "image_id": 1,
        "category_id": 7,
        "segmentation": [[1, 0, 3, 0.5, 2, 2], [4, 1, 5, 1, 5, 3]],
    }
    found = read(write_coco(tmp_path / "x.json", annotations=[bare]), images)
    assert found.of("a.jpg", SIZE)[DOG].boxes.tolist() == [[1, 0, 5, 3]]


def test_objects_outside_are_dropped_and_counted_once(tmp_path: Path, images: Path) -> None:
    annotations = [one(bbox=[7, 1, 2, 2]), one(bbox=[1, 1, 0, 2]), one(bbox=[3, 3, -2, 1]), one()]
    found = read(write_coco(tmp_path / "x.json", annotations=annotations), images)
    assert found.dropped == 0
    assert [len(found.of("a.jpg", SIZE)[DOG].boxes) for _ in range(2)] == [1, 1]
    assert found.dropped == 3


def test_a_photograph_with_nothing_left_has_no_classes(tmp_path: Path, images: Path) -> None:
    found = read(write_coco(tmp_path / "x.json", annotations=[one(bbox=[7, 1, 2, 2])]), images)
    assert found.of("a.jpg", SIZE) == {}
    assert found.dropped == 1


def test_file_names_with_folders_and_of_two_entries(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", "x/a.jpg", "b.jpg")
    entries = [
        {"id": 1, "file_name": "train2017\\a.jpg"},
        {"id": "two", "file_name": "./b.jpg"},
        {"id": 3, "file_name": "./b.jpg"},
        {"id": 4, "file_name": "c.jpg"},
    ]
    drawn = [one(image_id=place) for place in (1, "two", 3, 4, 99)]
    found = read(write_coco(tmp_path / "x.json", images=entries, annotations=drawn), images)
    assert found.photographs == ["b.jpg", "x/a.jpg"]
    assert len(found.of("b.jpg", SIZE)[DOG].boxes) == 2
    assert len(found.of("x/a.jpg", SIZE)[DOG].boxes) == 1


def test_the_size_is_that_of_the_upright_photograph(tmp_path: Path) -> None:
    images = tmp_path / "photos"
    images.mkdir()
    write_turned_photograph(images / "a.jpg", 4, 6)
    size = read_image(images / "a.jpg").shape[:2]
    assert size == (6, 4)
    lying = read(write_coco(tmp_path / "x.json"), images)
    with pytest.raises(
        TruthError, match=r"drawn on 6 x 4 pixels, and a.jpg has 4 x 6 when it stands"
    ):
        lying.of("a.jpg", size)
    upright = [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 6}]
    found = read(write_coco(tmp_path / "y.json", images=upright), images)
    assert found.of("a.jpg", size)[DOG].boxes.tolist() == [[1, 1, 3, 4]]


def test_what_is_not_wanted_is_not_looked_at(tmp_path: Path, images: Path) -> None:
    other = {"id": 2, "file_name": "elsewhere.jpg"}
    annotations = [one(), one(image_id=2, bbox="?", segmentation=7, category_id=None)]
    data = coco(annotations=annotations)
    data["images"].append(other)
    (tmp_path / "x.json").write_text(json.dumps(data))
    assert read(tmp_path / "x.json", images).photographs == ["a.jpg"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {}}, "no annotation file of COCO: that has the lists images, annotations, cat"),
        ({"categories": None}, "no annotation file of COCO"),
        ({"images": [{"id": 1}]}, r"images\[0\] has no id and file_name"),
        ({"images": [3]}, r"images\[0\] has no id"),
        ({"images": [{"id": [1], "file_name": "a.jpg"}]}, r"images\[0\] has no id"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]},
         r"images\[1\] has the id of another one, 1"),
        ({"images": []}, "names no photograph"),
        ({"images": [{"id": 1, "file_name": "z.jpg"}]}, r"nothing on the photographs in .*'z.jpg'"),
        ({"categories": [{"id": 7}]}, r"categories\[0\] has no id and name"),
        ({"categories": [{"id": 7, "name": "okapi"}]}, r"no label of the model is .* 'okapi', the"),
        ({"annotations": []}, "nothing is drawn on the 1 photographs"),
        ({"annotations": [{"image_id": 1, "caption": "dog"}]}, r"annotations\[0\] has no image_id"),
        ({"annotations": [one(category_id=99)]}, r"category_id of annotations\[0\] is none of"),
        ({"annotations": [one(category_id=[7])]}, r"category_id of annotations\[0\]"),
        ({"annotations": [one(), one(bbox=[1, 2, 3])]}, r"bbox of annotations\[1\] is not x, y, w"),
        ({"annotations": [one(bbox=[1, 2, 3, "4"])]}, r"bbox of annotations\[0\]"),
        ({"annotations": [{"image_id": 1, "category_id": 7}]}, r"bbox of annotations\[0\]"),
        ({"annotations": [one(segmentation=[[1, 2, 3]])]}, r"segmentation of annotations\[0\]"),
        ({"annotations": [one(segmentation=[[]])]}, r"segmentation of annotations\[0\]"),
        ({"annotations": [one(segmentation=["12"])]}, r"segmentation of annotations\[0\]"),
        ({"annotations": [one(segmentation=[[[1, 2], [3, 4]]])]}, r"segmentation of annotations"),
        ({"annotations": [one(segmentation="x")]}, r"segmentation of annotations\[0\]"),
        ({"annotations": [one(segmentation={"counts": [1]})]}, r"segmentation of annotations\[0\]"),
        ({"annotations": [one(segmentation={"counts": [10**30], "size": [4, 6]})]}, "segmentation"),
        ({"annotations": [one(segmentation={"counts": [1.5], "size": [4, 6]})]}, "segmentation"),
    ],
)  # fmt: skip
def test_what_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, images: Path
) -> None:
    with pytest.raises(TruthError, match=message):
        read(write_coco(tmp_path / "x.json", **changes), images)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        (
            {"counts": [1, 2], "size": [4, 6]},
            "damaged run lengths: the runs do not add up to 4 x 6",
        ),
        ({"counts": "zzz", "size": [4, 6]}, "damaged run lengths"),
        ({"counts": [12], "size": [3, 4]}, "a mask has 4 x 3 pixels, and the photograph 6 x 4"),
    ],
)
def test_masks_that_do_not_fit(
    outline: dict[str, Any], message: str, tmp_path: Path, images: Path
) -> None:
    found = read(write_coco(tmp_path / "x.json", annotations=[one(segmentation=outline)]), images)
    with pytest.raises(TruthError, match=message):
        found.of("a.jpg", SIZE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"), ("{", "no JSON"), ("[NaN]", "NaN is no number"), ("[]", "no annotation"),
        ('"x"', "no annotation file"), ('{"a": 1, "a": 2}', "stands twice"),
        ("[" * 5000 + "]" * 5000, "deep"),
        ('{"images":[],"categories":[],"annotations":[' + '{"a":' * 5000 + "1" + "}" * 5000 + "]}",
         "deep"),
    ],
)  # fmt: skip
def test_damaged_json(text: str, message: str, tmp_path: Path, images: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TruthError, match=message):
        read(tmp_path / "x.json", images)


def test_without_labels_names_find_no_class(tmp_path: Path, images: Path) -> None:
    with pytest.raises(TruthError, match=r"names its objects \('Dog'\), and the model stores no"):
        read(write_coco(tmp_path / "x.json"), images, labels=None)


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.TRUTH_BYTES > 450e6  # all of COCO's training photographs
    monkeypatch.setattr(reader, "TRUTH_BYTES", 100)
    with pytest.raises(TruthError, match="at most"):
        read(write_coco(tmp_path / "x.json"), images)


def test_very_many_masks_of_one_photograph_are_refused(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graftcam.runtime.tools.evaluate.truth.drawn.UNPACKED_BYTES", 23)
    found = read(
        write_coco(tmp_path / "x.json", annotations=[one(segmentation=[[0, 0, 1, 1]])]), images
    )
    with pytest.raises(TruthError, match="1 masks of 6 x 4 pixels"):
        found.of("a.jpg", SIZE)


def test_names_of_the_file_cannot_control_a_terminal(tmp_path: Path, images: Path) -> None:
    names = [{"id": 7, "name": "\x1b[2J\n" + "x" * 9000}]
    with pytest.raises(TruthError) as caught:
        read(write_coco(tmp_path / "x.json", categories=names), images)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000
