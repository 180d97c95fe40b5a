"""Files of the YOLO family as their own exporter writes them, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.exporter import export
from graftcam.exporter.capture.onnx_file import capture_file
from graftcam.exporter.locate.detectors.detection import Corners
from graftcam.exporter.locate.detectors.recognise import recognise
from support.sessions import run

SIDE = 96

# model, options of its export; format, task, classes and layout that must be found.
FILES: dict[str, tuple[str, dict[str, Any], tuple[str, str, int, str]]] = {
    "v8": ("yolov8n", {}, ("dense", "detect", 80, "cxcywh")),
    "v8, open": ("yolov8n", {"dynamic": True}, ("dense", "detect", 80, "cxcywh")),
    "v8, suppression": ("yolov8n", {"nms": True}, ("nms", "detect", 80, "xyxy")),
    "11, masks": ("yolo11n-seg", {}, ("dense", "segment", 80, "cxcywh")),
    "11, key points": ("yolo11n-pose", {}, ("dense", "pose", 80, "cxcywh")),
    "11, angles": ("yolo11n-obb", {}, ("dense", "obb", 80, "cxcywh")),
    "26, end to end": ("yolo26n", {"end2end": True}, ("end_to_end", "detect", 80, "xyxy")),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yolo")


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, **options: Any) -> Path:
    ultralytics = pytest.importorskip("ultralytics")
    import torch

    torch.manual_seed(0)
    monkeypatch.chdir(folder)
    model = ultralytics.YOLO(f"{name}.yaml", verbose=False)
    return Path(model.export(format="onnx", imgsz=SIDE, simplify=False, opset=18, verbose=False,
                             **options))  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILES)
def test_each_form_is_recognised(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    name, options, expected = FILES[kind]
    captured = capture_file(written(folder, monkeypatch, name, **options), [])
    found = recognise(captured.model, captured.folder)
    assert found is not None
    assert isinstance(found.boxes, Corners)
    assert (found.format, found.task, found.classes, found.boxes.layout) == expected
    assert found.boxes.units == "pixels"
    assert any("strides 8, 16, 32" in one for one in found.evidence)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_slots_of_an_end_to_end_file_are_the_rows_of_its_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = written(folder, monkeypatch, "yolov10n", end2end=True)
    spec = export(plain, folder / "artifact.onnx", verify="off").spec
    assert spec.detector is not None
    slots = np.arange(0, 189, 9)[None]
    for seed in range(3):
        x = np.random.default_rng(seed).random((1, 3, SIDE, SIDE), np.float32)
        found = run(folder / "artifact.onnx", {"images": x, "box_index": slots})
        rows = found["output0"][0, slots[0]]
        np.testing.assert_allclose(found[spec.detector.boxes][0], rows[:, :4], rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(found[spec.classes or ""][0], rows[:, 5])
        probability = 1 / (1 + np.exp(-found[spec.scores][0]))
        np.testing.assert_allclose(probability, rows[:, 4], rtol=1e-4, atol=1e-7)
