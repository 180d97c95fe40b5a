"""Dense detectors: which entries are boxes, objectness and classes, and what boxes mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from graftcam.exporter import ScoreError, export
from graftcam.runtime.spec import Spec
from support.detectors import ANCHORS, SIZE, Tiny, detector
from support.sessions import run

CLASSES = [[0, 1, 2, 0, 1, 2, 0, 1]]
BOXES = [[0, 5, 9, 15, 16, 17, 19, 3]]
TARGETS = [[0, 0, 0, 0, 1, 2, 3, 4]]
REQUEST = {
    "class_index": np.array(CLASSES), "box_index": np.array(BOXES), "box_target": np.array(TARGETS),
}  # fmt: skip


def image(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, SIZE, SIZE), np.float32)


def made(folder: Path, tiny: Tiny, task: str = "detect", **options: Any) -> tuple[Path, Spec]:
    """Export a tiny detector unverified."""
    plain, path = folder / "plain.onnx", folder / "artifact.onnx"
    plain.write_bytes(detector(tiny, task=task).SerializeToString())
    report = export(plain, path, verify="off", **options)
    return path, report.spec


def plain_outputs(tiny: Tiny) -> np.ndarray:
    """The dense output as [entries, anchors]."""
    found = next(iter(run(detector(tiny).SerializeToString(), {"images": image()}).values()))[0]
    return found.T if tiny.rows or tiny.coupled else found


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


FORMS = {
    "rows of corners": Tiny(rows=True, corners=True),
    "shares": Tiny(unit=True),
    "open sizes": Tiny(open_sizes=True),
    "logits": Tiny(activated=False),
    "mask coefficients": Tiny(extra=4),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_scores_boxes_and_gradients_of_the_plain_one(
    tmp_path: Path, form: str
) -> None:
    """The weights are the same, so only the layout of the output differs."""
    path, spec = made(tmp_path, Tiny())
    expected = run(path, {"images": image(), **REQUEST})
    other, other_spec = made(tmp_path, FORMS[form])
    found = run(other, {"images": image(), **REQUEST})
    assert spec.detector is not None
    assert other_spec.detector is not None
    names = [(spec.scores, other_spec.scores),
             (spec.detector.boxes, other_spec.detector.boxes),
             *((a.gradients, b.gradients)
               for a, b in zip(spec.layers, other_spec.layers, strict=True))]  # fmt: skip
    for one, same in names:
        np.testing.assert_allclose(found[same], expected[one], rtol=2e-4, atol=2e-5, err_msg=one)
    assert other_spec.detector.format == "dense"
    assert other_spec.detector.activated == FORMS[form].activated


def test_the_numbers_are_those_of_the_models_own_output(tmp_path: Path) -> None:
    path, spec = made(tmp_path, Tiny())
    found, own = run(path, {"images": image(), **REQUEST}), plain_outputs(Tiny())
    boxes, classes = BOXES[0][:4], CLASSES[0][:4]
    assert spec.detector is not None
    logits = logit(own[[4 + c for c in classes], boxes])
    np.testing.assert_allclose(found[spec.scores][0, :4], logits, rtol=1e-4)
    cx, cy, w, h = own[:4, BOXES[0]]
    edges = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1)
    np.testing.assert_allclose(found[spec.detector.boxes][0], edges, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[spec.scores][0, 4:], edges[range(4, 8), range(4)], rtol=1e-5,
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("tiny", [
    Tiny(objectness=True), Tiny(objectness=True, coupled=True),
    Tiny(objectness=True, coupled=True, texts=False),
], ids=["branches", "one convolution", "without metadata"])  # fmt: skip
def test_an_objectness_is_part_of_the_score(tmp_path: Path, tiny: Tiny) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "artifact.onnx"
    proto = detector(tiny)
    for node in proto.graph.node:
        if node.op_type == "Relu":  # finite differences step over its kinks
            node.op_type = "Softplus"
    plain.write_bytes(proto.SerializeToString())
    spec = export(plain, path, verify="off", extras="input_gradients").spec
    assert spec.detector is not None
    assert spec.detector.objectness_entries is not None
    assert spec.detector.objectness_entries[0].first == 4
    assert spec.detector.score_entries[0].first == 5
    request = {"class_index": np.array([[2, 0]]), "box_index": np.array([[7, 17]])}
    feeds = {"images": image(), **request}
    found = run(path, feeds)
    own = found["output0"][0].T if tiny.coupled else found["output0"][0]
    expected = np.log(own[4, [7, 17]]) + np.log(own[[7, 5], [7, 17]])
    np.testing.assert_allclose(found[spec.scores][0], expected, rtol=1e-5)
    assert spec.input_gradients is not None
    gradient = found[spec.input_gradients]
    for seed in range(3):
        # The judge is the forward pass alone, along random directions.
        along, step = np.random.default_rng(seed).standard_normal(image().shape), 3e-3
        sides = [run(path, {**feeds, "images": (image() + s * step * along).astype(np.float32)})
                 for s in (1, -1)]  # fmt: skip
        slope = (sides[0][spec.scores] - sides[1][spec.scores])[0] / (2 * step)
        claimed = (gradient[0] * along[0]).sum((1, 2, 3))
        np.testing.assert_allclose(claimed, slope, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(("tiny", "task", "classes"), [
    (Tiny(extra=1, extra_sigmoid=True), "obb", 3),
    (Tiny(extra=4), "segment", 3),
    (Tiny(extra=6, classes=1, names=["person"]), "pose", 1),
], ids=["angle", "masks", "key points"])  # fmt: skip
def test_entries_after_the_classes_are_no_classes(
    tmp_path: Path, tiny: Tiny, task: str, classes: int
) -> None:
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(detector(tiny, task=task).SerializeToString())
    report = export(plain, tmp_path / "artifact.onnx", verify="off")
    assert report.spec.score.classes == classes
    assert report.spec.detector is not None
    assert report.spec.detector.task == task
    assert any("not drawn" in note for note in report.notes)


def test_numbers_of_half_precision_are_read(tmp_path: Path) -> None:
    path, spec = made(tmp_path, Tiny(half=True))
    found = run(path, {"images": image().astype(np.float16), **REQUEST})
    single, single_spec = made(tmp_path, Tiny())
    expected = run(single, {"images": image(), **REQUEST})
    np.testing.assert_allclose(
        found[spec.scores], expected[single_spec.scores], rtol=2e-2, atol=2e-2
    )


def test_a_head_without_activation_is_read_by_the_number_of_its_names(tmp_path: Path) -> None:
    unnamed = Tiny(activated=False, texts=False)
    with pytest.raises(ScoreError, match="nothing shows how many entries of 'output0' are classes"):
        made(tmp_path, unnamed)
    _, spec = made(tmp_path, unnamed, labels=["a", "b", "c"])
    assert spec.score.classes == 3
    _, spec = made(tmp_path, unnamed, detector="dense")
    assert spec.score.classes == 3


def test_boxes_that_are_decoded_outside_the_graph_are_refused(tmp_path: Path) -> None:
    """Distances and classes of all anchors, as raw exports give them."""
    proto = detector(Tiny())
    for node in proto.graph.node:
        if node.output[0] == "joined":
            node.input[0] = "distances"
    (tmp_path / "raw.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ScoreError, match="'output0' do not follow a grid of anchors"):
        export(tmp_path / "raw.onnx", tmp_path / "artifact.onnx", verify="off")
    assert not (tmp_path / "artifact.onnx").exists()


def test_a_row_for_each_anchor_is_what_the_boxes_show(tmp_path: Path) -> None:
    _, spec = made(tmp_path, Tiny())
    assert spec.detector is not None
    words = f"{ANCHORS} boxes are the cells of strides 8, 16 at 32 x 32"
    assert words in spec.detector.evidence


def test_an_angle_after_a_single_class_is_no_class(tmp_path: Path) -> None:
    """Both are one sigmoid of one entry; the boxes depend on the angle alone."""
    proto = detector(Tiny(classes=1, names=["ship"], extra=1, extra_sigmoid=True), task="obb")
    nodes = list(proto.graph.node)
    place = next(i for i, node in enumerate(nodes) if node.output[0] == "joined")
    nodes[place].input[0] = "turned"
    turn = [helper.make_node("Cos", ["extra_p"], ["turn"], "t0"),
            helper.make_node("Add", ["pixels", "turn"], ["turned"], "t1")]  # fmt: skip
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes[:place], *turn, *nodes[place:]])
    (tmp_path / "plain.onnx").write_bytes(proto.SerializeToString())
    spec = export(tmp_path / "plain.onnx", tmp_path / "artifact.onnx", verify="off").spec
    assert spec.detector is not None
    assert spec.detector.objectness_entries is None
    assert [one.first for one in spec.detector.score_entries] == [4]


@pytest.mark.parametrize("texts", [True, False])
def test_a_single_class_is_read(tmp_path: Path, texts: bool) -> None:
    path, spec = made(tmp_path, Tiny(classes=1, names=["face"], texts=texts))
    assert (spec.score.classes, spec.labels) == (1, ["face"] if texts else None)
    own = run(path, {"images": image(), "box_index": np.array([[2, 17]])})
    p = own["output0"][0, 4, [2, 17]]
    np.testing.assert_allclose(own[spec.scores][0], logit(p), rtol=1e-4)
