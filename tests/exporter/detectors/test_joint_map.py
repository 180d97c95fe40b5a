"""One map of boxes and classes is refused where something shows it; else a note tells the doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam.exporter import ScoreError, export
from graftcam.exporter.report.report import Report
from support.cli import succeed
from support.onnx_text import parsed

NAMES = [f"class {number}" for number in range(20)]
LAST = "{out} = Conv(maps, head)"


def write(
    folder: Path, channels: int = 125, stride: int = 32, last: str = LAST, out: str = "grid",
    **metadata: str,
) -> Path:  # fmt: skip
    """Write a model with one output [1, channels, h, w]."""
    rng = np.random.default_rng(0)
    constants = {
        "stem": rng.standard_normal((6, 3, stride, stride)).astype(np.float32),
        "head": rng.standard_normal((channels, 6, 1, 1)).astype(np.float32),
        "bias": rng.standard_normal((1, channels, 1, 1)).astype(np.float32),
    }
    proto = parsed(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        single (float[1, 3, 64, 64] image) => (float[1, {channels}, h, w] {out}) {{
            sums = Conv <kernel_shape = [{stride}, {stride}], strides = [{stride}, {stride}]>
                (image, stem)
            maps = Tanh(sums)
            {last.format(out=out)} }}""",
        constants,
    )
    for key, text in metadata.items():
        proto.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(proto)
    path = folder / "plain.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def made(folder: Path, path: Path, **options: Any) -> Report:
    return export(path, folder / "m.onnx", verify="off", **options)


def doubt_of(report: Report) -> list[str]:
    return [note for note in report.notes if "before their decoding" in note]


SHOWN = {
    "labels": ({}, {"labels": NAMES}, "the labels name 20 classes"),
    "names of the file": ({"names": str(dict(enumerate(NAMES)))}, {},
                          "its metadata name 20 classes"),
    "anchors of the file": ({"anchors": "1.08,1.19, 3.42,4.41, 6.63,11.38, 9.42,5.11, 16.6,10.5"},
                            {}, "its metadata hold 'anchors' of 5 boxes"),
    "pairs of anchors": ({"anchors": "[[1, 1], [3, 4], [6, 11], [9, 5], [16, 10]]"}, {},
                         "its metadata hold 'anchors' of 5 boxes"),
    "its name": ({"out": "yolo_out"}, {}, "a name says 'yolo'"),
    "a bias apart": ({"out": "bboxes", "last": "raw = Conv(maps, head) {out} = Add(raw, bias)"}, {},
                     "a name says 'bbox'"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "options", "evidence"), SHOWN.values(), ids=SHOWN)
def test_boxes_that_something_shows_are_refused_for_the_true_reason(
    tmp_path: Path, model: dict[str, Any], options: dict[str, Any], evidence: str
) -> None:
    path = write(tmp_path, **model)
    seen = rf"holds 125 = 5 x \(5 \+ 20\) numbers for each place of stride 32.*: {evidence}"
    with pytest.raises(ScoreError, match=rf"{seen}.*decoded outside the graph.*--detector off"):
        made(tmp_path, path, **options)
    assert not (tmp_path / "m.onnx").exists()


def test_who_calls_it_a_detector_hears_why_it_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"no detector of format 'dense'.*decoded outside"):
        made(tmp_path, write(tmp_path), detector="dense")


DOUBTS = {"5 anchors": (125, 32, "5 x (5 + 20)"), "3 anchors": (255, 16, "3 x (5 + 80)"),
          "one class": (18, 8, "3 x (5 + 1)")}  # fmt: skip


@pytest.mark.parametrize(("channels", "stride", "product"), DOUBTS.values(), ids=DOUBTS)
def test_what_nothing_decides_is_explained_by_class_with_one_note(
    tmp_path: Path, channels: int, stride: int, product: str
) -> None:
    report = made(tmp_path, write(tmp_path, channels, stride))
    (note,) = doubt_of(report)
    assert product in note
    assert "--detector off" in note
    assert (report.spec.detector, report.spec.score.classes) == (None, channels)


SEGMENTATIONS = {
    "labels": ({"channels": 125}, {"labels": [str(number) for number in range(125)]}),
    "names of the file": ({"channels": 21, "names": str(["a"] * 21)}, {}),
    "a number that is not so": ({"channels": 19}, {}),
    "fine places": ({"channels": 125, "stride": 4}, {}),
    "probabilities": ({"last": "raw = Conv(maps, head) {out} = Softmax <axis = 1> (raw)"}, {}),
    "probabilities of a named kind": (
        {"out": "anchors", "last": "raw = Conv(maps, head) {out} = Softmax <axis = 1> (raw)"}, {},
    ),
    "independent probabilities": ({"last": "raw = Conv(maps, head) {out} = Sigmoid(raw)"}, {}),
    "the user's word": ({"channels": 125}, {"detector": "off"}),
    "metadata of others": ({"channels": 19, "anchors": "none"}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("model", "options"), SEGMENTATIONS.values(), ids=SEGMENTATIONS)
def test_a_segmentation_is_explained_without_a_word(
    tmp_path: Path, model: dict[str, Any], options: dict[str, Any]
) -> None:
    report = made(tmp_path, write(tmp_path, **model), **options)
    assert report.spec.detector is None
    assert not doubt_of(report)


def test_a_segmentation_on_a_yolo_backbone_is_not_refused(tmp_path: Path) -> None:
    assert doubt_of(made(tmp_path, write(tmp_path, out="yolo_seg")))


def test_the_list_of_layers_tells_the_doubt(tmp_path: Path) -> None:
    text = succeed("layers", write(tmp_path)).stdout
    assert text.count("before their decoding") == 1
    text = succeed("layers", write(tmp_path), "--detector", "off").stdout
    assert "before their decoding" not in text
