"""What is a detector, what is none, and what is refused; names and preprocessing from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam.exporter import ScoreError, export
from graftcam.exporter.capture.onnx_file import capture_file
from graftcam.exporter.errors import CaptureError, SettingsError
from graftcam.exporter.locate.detectors.file_facts import read_facts
from graftcam.exporter.locate.detectors.recognise import recognise
from graftcam.exporter.report.report import Report
from support.cli import refuse, succeed
from support.detectors import NAMES, SIZE, Tiny, detector
from support.onnx_text import parsed


def made(folder: Path, proto: onnx.ModelProto, **options: Any) -> Report:
    plain = folder / "plain.onnx"
    plain.write_bytes(proto.SerializeToString())
    return export(plain, folder / "artifact.onnx", verify="off", **options)


def test_names_are_sorted_by_their_numbers() -> None:
    names = (
        "{0: 'a', 1: 'b', 10: 'k', 2: 'c', 3: 'd', 4: 'e', 5: 'f', 6: 'g', 7: 'h', 8: 'i', 9: 'j'}"
    )
    assert read_facts({"names": names}).names == list("abcdefghijk")


def test_names_come_from_the_file_and_labels_win(tmp_path: Path) -> None:
    assert made(tmp_path, detector()).spec.labels == list(NAMES)
    assert made(tmp_path, detector(), labels=["x", "y", "z"]).spec.labels == ["x", "y", "z"]


@pytest.mark.parametrize("labels", [None, ["a", "b"]])
def test_a_wrong_number_of_names_is_refused_with_both_numbers(
    tmp_path: Path, labels: list[str] | None
) -> None:
    names = NAMES if labels else ["cat", "dog"]
    whose = "the labels name 2" if labels else "its metadata name 2"
    with pytest.raises(ScoreError, match=f"holds 3 classes.*{whose}.*--labels"):
        made(tmp_path, detector(Tiny(names=names)), labels=labels)
    assert not (tmp_path / "artifact.onnx").exists()


def test_the_transform_follows_from_the_metadata_and_a_note_says_so(tmp_path: Path) -> None:
    report = made(tmp_path, detector())
    found = report.spec.preprocess
    assert found is not None
    assert (found.size, found.resize_mode, found.fill) == ([SIZE, SIZE], "fit", [114])
    assert (found.scale, found.mean, found.std) == (1 / 255, [0.0] * 3, [1.0] * 3)
    assert (found.antialias, found.anchor, found.channels) == (False, "lower", None)
    assert any("letterbox=114" in note and "--preprocess" in note for note in report.notes)


def test_open_sizes_take_the_size_that_the_file_names() -> None:
    facts = read_facts(
        {"imgsz": "[320, 640]", "task": "detect", "names": "{0: 'a'}", "stride": "32"}
    )
    assert facts.size == (320, 640)
    assert facts.is_family


@pytest.mark.parametrize("missing", ["stride", "names", "task"])
def test_no_transform_is_guessed_for_other_files(tmp_path: Path, missing: str) -> None:
    proto = detector()
    kept = {entry.key: entry.value for entry in proto.metadata_props if entry.key != missing}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept)
    assert made(tmp_path, proto).spec.preprocess is None


def test_a_given_transform_wins(tmp_path: Path) -> None:
    report = made(tmp_path, detector(), preprocess="unit,squash")
    assert report.spec.preprocess is not None
    assert report.spec.preprocess.resize_mode == "exact"
    assert not any("preprocessing" in note for note in report.notes)


def test_images_need_a_transform_that_the_metadata_may_give(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(SettingsError, match="cannot be fed"):
        made(tmp_path, detector(Tiny(texts=False)), images=tmp_path / "images",
             report=tmp_path / "report")  # fmt: skip


def test_off_takes_a_detector_for_a_classifier(tmp_path: Path) -> None:
    report = made(tmp_path, detector(), detector="off", class_axis=1, class_offset=4)
    assert report.spec.detector is None


def test_a_format_that_the_graph_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="no detector of format 'end_to_end'"):
        made(tmp_path, detector(), detector="end_to_end")


CLASSIFIERS = {
    "classes": "p = GlobalAveragePool(y) q = Flatten(p) out = Sigmoid(q)",
    "segmentation": "out = Sigmoid(y)",
    "one heat map and a flow": "out = Sigmoid(y) flow = Conv(r, w2)",
    "tokens": "f = Reshape(y, flat) out = Transpose <perm = [0, 2, 1]> (f)",
    "tokens with positions": "f = Reshape(y, flat) t = Transpose <perm = [0, 2, 1]> (f) "
                             "out = Add(t, positions)",
    "four labels for each token": "f = Reshape(b, flat4) out = Transpose <perm = [0, 2, 1]> (f) "
                                  "g = Reshape(y, flat) hidden = Transpose <perm = [0, 2, 1]> (g)",
}  # fmt: skip
OUTPUTS = {
    "classes": "float[1, 7] out",
    "segmentation": "float[1, 7, 8, 8] out",
    "one heat map and a flow": "float[1, 7, 8, 8] out, float[1, 2, 8, 8] flow",
    "tokens": "float[1, 64, 7] out",
    "tokens with positions": "float[1, 64, 7] out",
    "four labels for each token": "float[1, 64, 4] out, float[1, 64, 7] hidden",
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_other_models_are_no_detectors(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": (6, 3, 4, 4), "w1": (7, 6, 1, 1), "w2": (2, 6, 1, 1), "w4": (4, 6, 1, 1),
               "positions": (1, 64, 7)}  # fmt: skip
    constants: dict[str, Any] = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in weights.items()
    }
    constants |= {"flat": np.array([1, 7, 64]), "flat4": np.array([1, 4, 64])}
    proto = parsed(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        other (float[1, 3, {SIZE}, {SIZE}] x) => ({OUTPUTS[kind]})
        {{ c = Conv <strides = [4, 4]> (x, w) r = Relu(c) y = Conv(r, w1) b = Conv(r, w4)
           {CLASSIFIERS[kind]} }}""",
        constants,
    )
    (tmp_path / "other.onnx").write_bytes(proto.SerializeToString())
    captured = capture_file(tmp_path / "other.onnx", [])
    assert recognise(captured.model, captured.folder) is None


def test_layers_says_what_a_detector_is(tmp_path: Path) -> None:
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(detector(Tiny(extra=2), task="segment").SerializeToString())
    text = succeed("layers", plain).stdout
    for words in ("detector, format dense, task segment", "3 classes: cat, dog, owl",
                  "seen: 3 classes have names", "masks are not drawn", "* fine",
                  "16 boxes"):  # fmt: skip
        assert words in text, words
    assert "scores output0" in succeed("layers", plain, "--detector", "off").stdout
    assert '"format": "dense"' in succeed("layers", plain, "--json").stdout


def test_export_takes_the_format_on_the_command_line(tmp_path: Path) -> None:
    plain, out = tmp_path / "plain.onnx", tmp_path / "out.onnx"
    plain.write_bytes(detector(Tiny(activated=False, texts=False)).SerializeToString())
    assert "--detector" in refuse("export", plain, "-o", out, "--verify", "off")
    assert not out.exists()
    succeed("export", plain, "-o", out, "--verify", "off", "--detector", "dense")
    assert out.exists()


def test_labels_are_still_checked_for_classifiers(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="2 labels for 3 classes"):
        made(tmp_path, detector(), detector="off", class_axis=1, class_offset=4, labels=["a", "b"])


def test_a_quantised_detector_is_refused_with_that_word(tmp_path: Path) -> None:
    proto = detector()
    last = next(node for node in proto.graph.node if "output0" in node.output)
    last.output[0] = "plain"
    scale = [onnx.numpy_helper.from_array(np.array(1, np.float32), "scale")]
    proto.graph.initializer.extend(scale)
    for op_type, source, result in (("QuantizeLinear", "plain", "codes"),
                                    ("DequantizeLinear", "codes", "output0")):  # fmt: skip
        proto.graph.node.append(onnx.helper.make_node(op_type, [source, "scale"], [result]))
    with pytest.raises(ScoreError, match=r"it is quantised .*; export the float model.*shrink"):
        made(tmp_path, proto)
