"""Images as masks: of any class, or of the class that their folder names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import ImageError, TruthError
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.tools.evaluate.truth import mask_files
from graftcam.runtime.tools.evaluate.truth.mask_files import boxes_of
from graftcam.runtime.tools.evaluate.truth.read import read_annotations
from graftcam.runtime.tools.evaluate.truth.truth import ANY_CLASS, truth_of
from support.drawn import LABELS, photographs, pixels, read, write_mask, write_turned_photograph

SIZE = (4, 6)
MASK = pixels("##....", "##....", "...#..", "....##")
OTHER = pixels("......", "......", "......", "#.....")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return photographs(tmp_path / "photos", "a.jpg", "b.jpg")


def test_a_mask_is_of_whichever_class_is_asked_about(tmp_path: Path, images: Path) -> None:
    write_mask(tmp_path / "masks" / "a.png", MASK)
    found = read(tmp_path / "masks", images, labels=None)
    assert (found.kind, found.has_masks, found.unknown) == ("masks", True, [])
    assert found.photographs == ["a.jpg"]
    truth = found.of("a.jpg", SIZE)
    assert list(truth) == [ANY_CLASS]
    assert truth_of(truth, 2) is truth[ANY_CLASS]
    assert (truth[ANY_CLASS].mask == MASK).all()
    # Parts that touch at a corner are one.
    assert truth[ANY_CLASS].boxes.tolist() == [[0, 0, 2, 2], [3, 2, 6, 4]]
    assert found.of("b.jpg", SIZE) == {}
    assert truth_of({}, 2) is None


def test_folders_are_labels(tmp_path: Path, images: Path) -> None:
    write_mask(tmp_path / "masks" / "Dog" / "a.png", MASK)
    write_mask(tmp_path / "masks" / "Dog" / "a.bmp", OTHER)
    write_mask(tmp_path / "masks" / "hot_dog" / "a.png", OTHER)
    write_mask(tmp_path / "masks" / "okapi" / "a.png", OTHER)
    write_mask(tmp_path / "masks" / "a.png", OTHER)
    found = read(tmp_path / "masks", images)
    assert found.unknown == ["okapi"]
    truth = found.of("a.jpg", SIZE)
    assert sorted(truth) == [ANY_CLASS, 1, 2]
    assert (truth[2].mask == MASK | OTHER).all()  # two files of one class
    assert truth_of(truth, 2) is truth[2]
    assert truth_of(truth, 0) is truth[ANY_CLASS]


def test_a_folder_of_photographs_may_be_a_label_or_not(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", "a.jpg", "cat/a.jpg", "walk/a.jpg")
    for folder in ("cat", "walk", "dog/walk"):
        write_mask(tmp_path / "masks" / folder / "a.png", MASK)
    found = read(tmp_path / "masks", images)
    assert found.of("a.jpg", SIZE) == {}  # the whole path comes first
    assert list(found.of("cat/a.jpg", SIZE)) == [0]
    assert sorted(found.of("walk/a.jpg", SIZE)) == [ANY_CLASS, 2]


def test_masks_inside_the_photographs_folder(images: Path) -> None:
    write_mask(images / "masks" / "a.png", MASK)
    assert read(images / "masks", images).photographs == ["a.jpg"]
    write_mask(images / "others" / "z.png", MASK)
    with pytest.raises(TruthError, match=r"they are 'a.jpg', 'b.jpg', 'masks/a.png'; give"):
        read(images / "others", images)


def test_colours_count_and_transparent_pixels_do_not(tmp_path: Path, images: Path) -> None:
    image = np.zeros((*SIZE, 4), np.uint8)
    image[0, 0] = (1, 0, 0, 255)  # nearly black
    image[1, 1] = (255, 255, 255, 0)
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), image)
    mask = read(tmp_path / "masks", images).of("a.jpg", SIZE)[ANY_CLASS].mask
    assert mask is not None
    assert np.argwhere(mask).tolist() == [[0, 0]]


def test_a_black_mask_is_none(tmp_path: Path, images: Path) -> None:
    write_mask(tmp_path / "masks" / "a.png", np.zeros(SIZE))
    assert read(tmp_path / "masks", images).of("a.jpg", SIZE) == {}


def test_the_size_is_that_of_the_upright_photograph(tmp_path: Path) -> None:
    images = tmp_path / "photos"
    images.mkdir()
    write_turned_photograph(images / "a.jpg", 4, 6)
    size = read_image(images / "a.jpg").shape[:2]
    write_mask(tmp_path / "lying" / "a.png", MASK)
    with pytest.raises(
        TruthError, match=r"a.png has 6 x 4 pixels, and a.jpg has 4 x 6 \(upright, as"
    ):
        read(tmp_path / "lying", images).of("a.jpg", size)
    write_mask(tmp_path / "upright" / "a.png", MASK.T)
    assert list(read(tmp_path / "upright", images).of("a.jpg", size)) == [ANY_CLASS]


def test_noise_gets_one_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_files, "_MOST_PARTS", 3)
    assert len(boxes_of(pixels("#.#.#"))) == 3
    assert boxes_of(pixels("#.#.#.#.")).tolist() == [[0, 0, 7, 1]]


def test_files_that_are_no_masks(tmp_path: Path, images: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = read(tmp_path / "masks", images)
    with pytest.raises(TruthError, match=r"a.png is cut off"):
        found.of("a.jpg", SIZE)
    write_mask(tmp_path / "masks" / "a.png", MASK)
    few = read_annotations(tmp_path / "masks", LABELS, 3, images, max_pixels=23)
    with pytest.raises(TruthError, match="more than 23"):
        few.of("a.jpg", SIZE)


def test_very_many_masks_of_one_photograph_are_refused(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_files, "UNPACKED_BYTES", 23)
    write_mask(tmp_path / "masks" / "a.png", MASK)
    with pytest.raises(TruthError, match=r"a.jpg has 1 masks, which need more"):
        read(tmp_path / "masks", images).of("a.jpg", SIZE)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["z.png"], r"nothing on the photographs in .*'z.png'"),
        (
            ["a.jpg"],
            r"the masks in .* \('a.jpg'\) are in formats that change black; save them as PNG",
        ),
        (["okapi/a.png"], "no label of the model is a name in .*'okapi'"),
        (["z.txt"], r"nothing on the photographs in .* it names 'z.txt', and they are 'a.jpg', 'b"),
        (["z.pdf"], r"holds no annotations \('z.pdf'\); give a .json file of COCO, or a folder of"),
        ([], r"holds no annotations \(\); give"),
    ],
)
def test_folders_that_are_refused(
    files: list[str], message: str, tmp_path: Path, images: Path
) -> None:
    (tmp_path / "drawn").mkdir()
    photographs(tmp_path / "drawn", *files)
    with pytest.raises(TruthError, match=message):
        read(tmp_path / "drawn", images)


def test_folders_without_labels_in_the_model(tmp_path: Path, images: Path) -> None:
    write_mask(tmp_path / "masks" / "dog" / "a.png", MASK)
    with pytest.raises(
        TruthError, match=r"names its objects \('dog'\), and the model stores no lab"
    ):
        read(tmp_path / "masks", images, labels=None)


def test_a_mask_of_two_photographs(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", "a.jpg", "a.png")
    write_mask(tmp_path / "masks" / "a.png", MASK)
    with pytest.raises(TruthError, match=r"'a.png' could be the mask of 'a.jpg', 'a.png'"):
        read(tmp_path / "masks", images)


def test_the_photographs_are_not_their_own_masks(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", "a.png")
    with pytest.raises(TruthError, match="holds no annotations"):
        read(images, images)


def test_sources_that_are_no_annotations(tmp_path: Path, images: Path) -> None:
    with pytest.raises(
        TruthError, match=r"does not exist: there is no file of annotations; give a"
    ):
        read(tmp_path / "none", images)
    with pytest.raises(TruthError, match=r"a.jpg is no file of annotations"):
        read(images / "a.jpg", images)
    with pytest.raises(TruthError, match=r"cannot read annotations from .*none.json"):
        read(tmp_path / "none.json", images)
    with pytest.raises(ImageError, match="no images"):
        read(tmp_path / "none", photographs(tmp_path / "empty", "a.txt"))
