"""Two releases of a detector are compared box by box."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.tools.diff_boxes import BoxPair, match, overlap_of
from graftcam.runtime.tools.pairs import pair_of
from support.artifacts import write_artifact
from support.cli import fail, succeed
from support.small_detector import export_detector, write_scene

TWO = ("red", 16, 16, 16), ("blue", 40, 40, 8)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_detector(tmp_path_factory.mktemp("first") / "first.onnx")


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that sees no blue, and red a little differently."""
    return export_detector(tmp_path_factory.mktemp("second") / "second.onnx", blind_to="blue")


def test_a_release_and_its_copy_look_at_the_same(release: Path, tmp_path: Path) -> None:
    photo = write_scene(tmp_path / "photo.png", *TWO)
    data = json.loads(succeed("diff", release, release, photo, "--json").stdout)
    assert (data["boxes"], data["agreement"]) == (2, 1)
    assert data["similarity"] == pytest.approx(1)
    assert {tuple(one["numbers"]) for one in data["changes"]} == {(1, 1), (2, 2)}
    text = succeed("diff", release, release, photo).stdout
    assert text.startswith("first.onnx and first.onnx on 2 boxes: maps 1.000 similar")


def test_a_box_that_one_of_them_lacks_has_no_similarity(
    release: Path, blind: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_scene(folder / "photo.png", *TWO)
    data = json.loads(
        succeed("diff", release, blind, folder, "-o", tmp_path / "out", "--json").stdout
    )
    blue, red = data["changes"]
    assert blue["label"].split()[:2] == ["2", "blue"]
    assert (blue["predicted"], blue["numbers"]) == (["blue", "no box"], [2, None])
    assert (blue["similarity"], blue["shift"]) == (0, None)
    assert (red["predicted"], red["numbers"]) == (["red", "red"], [1, 1])
    assert 0.99 < red["similarity"] < 1
    assert data["agreement"] == 0.5
    files = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert files == ["01-photo.png"]  # maps that are equal to three digits are not drawn
    assert cv2.imread(str(tmp_path / "out" / files[0])).shape[1] > 3 * 64
    # The other way round, the box is new.
    (new, _) = (
        BoxPair(Explainer(blind, "cpu"), Explainer(release, "cpu"))
        .compare([folder / "photo.png"])
        .changes
    )
    assert (new.predicted, new.status[0]) == (("no box", "blue"), "zero")


def test_maps_are_those_of_the_matching_boxes(release: Path, blind: Path, tmp_path: Path) -> None:
    photo = write_scene(tmp_path / "photo.png", *TWO)
    found, other = (Explainer(path, "cpu").explain_boxes(photo) for path in (release, blind))
    assert match(found, other) == [(0, 0), (1, None)]
    (change,) = (
        one
        for one in pair_of(Explainer(release, "cpu"), Explainer(blind, "cpu")).changes(photo)
        if one.numbers == (1, 1)
    )
    one, two = found.heatmaps[0].ravel(), other.heatmaps[0].ravel()
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    assert change.similarity == pytest.approx(cosine, abs=1e-5)


def test_boxes_match_by_class_and_place_once() -> None:
    def boxes(*given: tuple[str, float]) -> SimpleNamespace:
        explained = [SimpleNamespace(label=label, box=(x, 0, x + 10, 10)) for label, x in given]
        return type("Boxes", (list,), {"explained": explained})(explained)

    first = boxes(("a", 0), ("a", 1), ("b", 0), ("b", 20), ("a", 40))
    second = boxes(("a", 1), ("b", 0), ("a", 2), ("b", 26))
    assert match(first, second) == [(0, 0), (1, 2), (2, 1), (3, None), (4, None)]  # type: ignore[arg-type]
    assert overlap_of((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap_of((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_what_cannot_be_compared_is_one_line(release: Path, tmp_path: Path) -> None:
    classifier = write_artifact(tmp_path / "classifier.onnx")
    empty = write_scene(tmp_path / "empty.png")
    with pytest.raises(InputError, match=r"first\.onnx is a detector and classifier\.onnx is not"):
        pair_of(Explainer(release, "cpu"), Explainer(classifier, "cpu"))
    assert "neither detector finds a box in them" in fail("diff", release, release, empty)
