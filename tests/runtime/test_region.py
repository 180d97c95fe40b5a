"""Explaining a class in a part of the image, where the model's output has positions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import ImageError, InputError, SpecError
from graftcam.runtime.inputs.preprocess import Placement
from graftcam.runtime.inputs.region import as_weights, box_mask, read_mask
from graftcam.runtime.spec import Spec
from support.artifacts import SCENE, peak, spec, write_artifact, write_segmenter
from support.cli import call, fail, succeed

# The red square of SCENE as a box, and as a cell of the 4 x 4 output.
BOX, CELL = (80, 24, 96, 40), (1, 2)
TENSOR = np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segmenter(tmp_path_factory.mktemp("model") / "maps.onnx")


@pytest.fixture(scope="module")
def explainer(path: Path) -> Explainer:
    return Explainer(path)


def cell(*place: int) -> np.ndarray:
    mask = np.zeros((4, 4), np.bool_)
    mask[place] = True
    return mask


def test_without_a_region_the_score_is_the_sum_over_the_output(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "blue"])
    sums = explanation.output.sum(axis=(1, 2))
    np.testing.assert_allclose(explanation.scores, sums[[0, 2]], rtol=1e-5)
    assert explanation.region is None
    assert explanation.probabilities.shape == (4, 4, 4)
    assert explanation.to_dict()["classes"][0]["probability"] is None
    assert peak(explanation.heatmaps[0]) == (32, 88)


@pytest.mark.parametrize("kind", ["image", "output", "numbers", "file"])
def test_a_region_is_a_mask_of_the_image_or_of_the_output(
    explainer: Explainer, tmp_path: Path, kind: str
) -> None:
    mask = box_mask((80, 160), BOX)
    cv2.imwrite(str(tmp_path / "mask.png"), mask * np.uint8(255))
    region = {
        "image": mask,
        "output": cell(*CELL),
        "numbers": mask * np.uint8(7),
        "file": tmp_path / "mask.png",
    }[kind]
    explanation = explainer.explain(SCENE, "red", region=region)
    assert np.argwhere(explanation.region).tolist() == [list(CELL)]
    assert explanation.scores[0] == pytest.approx(explanation.output[(0, *CELL)], rel=1e-6)
    # The mean of the gradient: four times the redness, for one cell of 16.
    whole = explainer.explain(SCENE, "red")
    np.testing.assert_allclose(explanation.maps, whole.maps / 16, rtol=1e-5)


def test_ranks_are_those_inside_the_region(explainer: Explainer) -> None:
    assert explainer.explain(SCENE, region=cell(1, 2)).labels == ["red"]
    assert explainer.explain(SCENE, region=cell(3, 0)).labels == ["green"]


def test_floats_are_weights(explainer: Explainer) -> None:
    once = explainer.explain(SCENE, "red", region=cell(*CELL)).scores
    half = explainer.explain(SCENE, "red", region=cell(*CELL) * 0.5).scores
    np.testing.assert_allclose(half, once / 2, rtol=1e-6)


def test_a_mask_of_the_images_size_is_taken_as_such_even_if_the_output_has_it_too() -> None:
    mask = np.zeros((4, 4), np.bool_)
    mask[0, 0] = True
    # The model sees the lower right quarter of the image, twice as large.
    zoomed = Placement((4, 4), (8, 8), (4, 4), (4, 4))
    with pytest.raises(InputError, match="nothing of the region is left"):
        as_weights(mask, zoomed, (4, 4))
    mask[2, 2] = True
    assert as_weights(mask, zoomed, (4, 4)).tolist()[:3] == [[1, 1, 0, 0]] * 2 + [[0] * 4]


def test_padding_around_a_small_image_is_outside_the_region() -> None:
    padded = Placement((2, 4), (2, 4), (-1, 0), (4, 4))
    assert as_weights(np.ones((2, 4)), padded, (4, 4)).sum(axis=1).tolist() == [0, 4, 4, 0]


def test_an_output_of_one_axis_takes_masks_of_its_own_shape_only() -> None:
    placement = Placement((4, 4), (4, 4), (0, 0), (4, 4))
    assert as_weights(np.arange(6), placement, (6,)).tolist() == [0, 1, 1, 1, 1, 1]
    with pytest.raises(InputError, match=r"region has shape \[4, 4\]"):
        as_weights(np.ones((4, 4)), placement, (6,))


@pytest.mark.parametrize(("size", "batch"), [((32, 32), 2), (("H", "W"), "N")], ids=str)
def test_batches_take_one_region_for_all_or_one_for_each(
    tmp_path: Path, size: tuple[int | str, int | str], batch: int | str
) -> None:
    explainer = Explainer(write_segmenter(tmp_path / "m.onnx", size=size, batch=batch))
    batched = [SCENE, SCENE[::-1], SCENE]
    shared = explainer.explain(batched, "red", region=cell(*CELL))
    own = explainer.explain(batched, "red", region=[cell(*CELL), cell(2, 2), None])
    for entry in (shared[0], own[0]):
        assert entry.scores[0] == pytest.approx(entry.output[(0, *CELL)], rel=1e-6)
    assert shared[1].scores[0] == pytest.approx(shared[1].output[(0, *CELL)], rel=1e-5)
    assert own[1].scores[0] == pytest.approx(own[1].output[0, 2, 2], rel=1e-6)
    assert own[2].scores[0] == pytest.approx(own[2].output[0].sum(), rel=1e-5)
    with pytest.raises(InputError, match="2 regions for 3 images"):
        explainer.explain(batched, "red", region=[cell(0, 0)] * 2)


REFUSALS: dict[str, tuple[Any, str]] = {
    "empty": (np.zeros((4, 4)), "the region is empty; mark the pixels"),
    "shape": (
        np.ones((5, 4)),
        r"has shape \[5, 4\]; pass \[80, 160\], .* or \[4, 4\], the output's",
    ),
    "rank": (np.ones((1, 4, 4)), r"has shape \[1, 4, 4\]"),
    "text": (np.full((4, 4), "x"), "is not a mask; pass an array of booleans or numbers"),
    "type": ({"a": 1}, "is not a mask"),
    "nan": (np.full((4, 4), np.nan), "weights are not finite"),
    "outside": (box_mask((80, 160), (0, 0, 20, 20)), "is outside the centre crop"),
}


@pytest.mark.parametrize(("region", "message"), REFUSALS.values(), ids=REFUSALS)
def test_regions_that_cannot_be_used_are_refused(
    explainer: Explainer, region: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        explainer.explain(SCENE, region=region)


def test_a_mask_that_is_no_image_is_refused(explainer: Explainer, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read .*no\.png"):
        explainer.explain(SCENE, region=tmp_path / "no.png")


def test_a_model_without_positions_takes_no_region(tmp_path: Path) -> None:
    explainer = Explainer(write_artifact(tmp_path / "plain.onnx"))
    message = r"plain\.onnx takes no region: its output 'logits' has no positions"
    with pytest.raises(InputError, match=message):
        explainer.explain(SCENE, region=cell(*CELL))
    with pytest.raises(InputError, match=message):
        explainer.run(TENSOR, region=np.ones((1, 1)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 3), (2, 3)], ids=str)
def test_run_takes_regions_by_image_and_class(explainer: Explainer, shape: tuple[int, int]) -> None:
    region = np.random.default_rng(1).random((*shape, 4, 4))
    index = [[0, 1, 2]]
    found = explainer.run(TENSOR, index, region)
    expected = np.einsum(
        "nkyx,nkyx->nk", found["logits"][:, :3], np.broadcast_to(region, (2, 3, 4, 4))
    )
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5)
    named = explainer.run({"image": TENSOR, "region": region}, index)
    np.testing.assert_array_equal(named["scores"], found["scores"])


@pytest.mark.parametrize(
    "region",
    [
        np.ones((3, 1, 4, 4)), np.ones((1, 2, 4, 4)), np.ones((1, 1, 4, 5)), np.ones((4, 4)),
        np.full((1, 1, 4, 4), "x"),
    ],
    ids=["N", "K", "positions", "rank", "type"],
)  # fmt: skip
def test_run_refuses_regions_of_another_shape(explainer: Explainer, region: np.ndarray) -> None:
    message = r"the region is .*; pass numbers \[N or 1, K or 1, 4, 4\], here with K = 3"
    with pytest.raises(InputError, match=message):
        explainer.run(TENSOR, [[0, 1, 2]], region)


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 9), (5, 9, 9, 9), (-1, 0, 9, 9), (0, 0, 161, 9), (0, 0, 9, 81)], ids=str
)
def test_boxes_that_do_not_lie_in_the_image_are_refused(box: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"box .* is not inside the image; .*x1 <= 160 .*80"):
        box_mask((80, 160), box)


def test_records_without_a_region_are_as_they_were(path: Path) -> None:
    assert "region" not in spec().to_json()
    assert Spec.from_json(spec().to_json()).region is None
    named = replace(spec(), region="region")
    assert Spec.from_json(named.to_json()) == named
    with pytest.raises(SpecError, match=r"graftcam\.region: 3 is no"):
        Spec.from_json(named.to_json().replace('"region":"region"', '"region":3'))
    with pytest.raises(SpecError, match=r"missing fields \['labels'\]"):
        Spec.from_json(spec(labels=None).to_json().replace('"labels":null,', ""))


def test_an_artifact_that_lacks_its_region_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a.onnx", spec(region="region"))
    with pytest.raises(SpecError, match=r"the graph lacks \['region'\]"):
        Explainer(tmp_path / "a.onnx")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "scene.png"), SCENE[:, :, ::-1])
    return tmp_path / "scene.png"


def test_the_command_line_takes_a_mask_a_box_or_their_overlap(
    path: Path, scene: Path, tmp_path: Path
) -> None:
    mask, out = tmp_path / "mask.png", tmp_path / "out"
    # The cells of the red and of the green square; the box keeps the green one.
    squares = box_mask((80, 160), BOX) | box_mask((80, 160), (48, 56, 64, 72))
    cv2.imwrite(str(mask), squares * np.uint8(255))
    for options, label in (
        (["--box", "80,24,96,40"], "red"),
        (["--region", mask], "red"),
        (["--region", mask, "--box", "48,50,70,80"], "green"),
    ):
        result = succeed("explain", path, scene, "-o", out, *options)
        assert f"{label}  score" in result.stdout
        assert (out / f"scene-{label}.png").is_file()
    text = call("inspect", path).stdout
    assert "region  region: float32 [N or 1, K or 1, *positions of logits]" in text


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--box", "0,0,200,10"], "box 0,0,200,10 is not inside the image", 1),
        (["--region", "no.png"], "cannot read no.png", 1),
        (["--region", "SMALL", "--box", "0,0,9,9"], "can only crop a mask of the image's size", 1),
        (["--region", "SMALL"], "the region has shape [3, 3]", 1),
        (["--box", "0,0,9"], "has 3 numbers, not 4", 2),
        (["--box", "a,b,c,d"], "no comma-separated list", 2),
    ],
)
def test_the_command_line_refuses_in_one_line(
    path: Path, scene: Path, tmp_path: Path, options: list[str], message: str, code: int
) -> None:
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), np.full((3, 3), 255, np.uint8))
    options = [str(small) if option == "SMALL" else option for option in options]
    said = fail("explain", path, scene, "-o", tmp_path / "out", *options, code=code)
    assert message in said.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_region_for_a_model_without_positions_is_one_line(scene: Path, tmp_path: Path) -> None:
    plain = write_artifact(tmp_path / "plain.onnx")
    said = fail("explain", plain, scene, "-o", tmp_path / "out", "--box", "0,0,9,9")
    assert "plain.onnx takes no region" in said


def test_a_mask_drawn_on_nothing_marks_what_is_drawn(tmp_path: Path) -> None:
    """Drawing programs save strokes on a transparent ground, which images show on white."""
    drawn = np.zeros((6, 8, 4), np.uint8)
    drawn[2:4, 3:5] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), drawn)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), drawn[:, :, 3] > 0)
