"""A face detector with trained weights on photographs: whether a box's map lies on its face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

nudenet = pytest.importorskip("nudenet")
pytest.importorskip("onnx_ir")
data = pytest.importorskip("skimage.data")

from graftcam import Explainer, export  # noqa: E402 - after the packages that it needs

LAYERS = [f"/model.{number}/cv2/act/Mul_output_0" for number in (15, 18, 21)]
LABELS = [f"part {number}" for number in range(18)]
FACES = (1, 12)


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    source = Path(nudenet.__file__).with_name("320n.onnx")
    path = tmp_path_factory.mktemp("faces") / "faces.onnx"
    # The package itself pads at the right and at the bottom, with black.
    export(source, path, shapes=[None, 3, 320, 320], layers=LAYERS, labels=LABELS,
           preprocess="unit, letterbox=0, topleft", verify="off")  # fmt: skip
    return Explainer(path)


def inside(corners: np.ndarray, point: tuple[int, int]) -> bool:
    left, top, right, bottom = corners
    return bool(left < point[0] < right and top < point[1] < bottom)


def test_the_map_of_a_face_lies_in_its_box(explainer: Explainer) -> None:
    found = explainer.explain_boxes(data.astronaut())
    assert len(found) == 1
    assert found.classes[0] in FACES
    assert inside(found.detections.boxes[0], (224, 130))  # her nose
    assert found.shares[0] is not None
    assert found.shares[0] >= 0.85


def test_two_faces_have_two_maps(explainer: Explainer) -> None:
    face = data.astronaut()
    found = explainer.explain_boxes(np.concatenate([face, face[:, ::-1]], axis=1))
    assert len(found) == 2
    half = found.heatmaps.shape[2] // 2
    for one, heatmap in zip(found, found.heatmaps, strict=True):
        assert one.share >= 0.85
        sides = heatmap[:, :half].sum(), heatmap[:, half:].sum()
        assert min(sides) / sum(sides) < 0.02  # nothing on the other face
        assert (sides[0] > sides[1]) == (one.box[2] < half)


def test_a_cat_has_no_face(explainer: Explainer) -> None:
    found = explainer.explain_boxes(data.chelsea())
    assert not len(found.detections)
    assert found.detections.best is not None
    assert found.detections.best.score < 0.25


@pytest.mark.parametrize("extents", [(512, 300), (260, 512), (512, 512)])
def test_faces_are_found_in_images_of_any_shape(
    explainer: Explainer, extents: tuple[int, int]
) -> None:
    height, width = extents
    image = np.ascontiguousarray(data.astronaut()[:height, 60 : 60 + width])
    found = explainer.explain_boxes(image)
    assert inside(found.detections.boxes[0], (164, 130))
    assert found.shares[0] is not None
    assert found.shares[0] >= 0.85
