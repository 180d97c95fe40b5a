"""`graftcam layers` says of a PyTorch module's boxes and layers what an export does with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graftcam.exporter import ScoreError, export
from graftcam.exporter.capture.detector_summary import DetectorSummary, summarise_detector
from graftcam.exporter.source.settings import ExportSettings
from support.cli import fail, succeed
from support.torch_detectors import OwnDetector, Queries, images, retinanet, with_neck


def summary_of(model: nn.Module, **settings: Any) -> DetectorSummary:
    found, _ = summarise_detector(model, (images(),), ExportSettings(**settings))
    assert found is not None
    return found


MODULES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], str]] = {
    "dense": (OwnDetector, {}, "neck.0"),
    "context": (with_neck, {"context": True}, "backbone.0.fine"),
    "queries": (Queries, {"labels": ["a", "b", "c"]}, "body"),
    "before its suppression": (retinanet, {"detector": "before_nms"}, "backbone.fine"),
}


@pytest.mark.parametrize("case", MODULES)
def test_it_is_what_the_export_takes(tmp_path: Path, case: str) -> None:
    make, options, finest = MODULES[case]
    if case.startswith("before"):
        pytest.importorskip("torchvision")
    shown = summary_of(make(), **options)
    spec = export(make(), tmp_path / "a.onnx", (images(),), verify="off", **options).spec
    assert spec.detector is not None
    assert shown.levels[0][0] == finest
    assert [name for name, *_ in shown.levels] == [one.name for one in spec.layers]
    assert [count for *_, count in shown.levels] == [one.count for one in spec.detector.levels]
    assert (shown.format, list(shown.evidence)) == (spec.detector.format, spec.detector.evidence)
    assert (shown.classes, shown.names) == (spec.score.classes, spec.labels)


def test_other_modules_are_none() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    assert summarise_detector(net, (images(),), ExportSettings()) == (None, ())
    with pytest.raises(ScoreError, match="no detector of format 'dense'"):
        summarise_detector(net, (images(),), ExportSettings(detector="dense"))


def test_a_script_is_read_as_a_file() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates it
        script = torch.jit.trace(OwnDetector().eval(), images(), check_trace=False)
    found, _ = summarise_detector(script, (images(),), ExportSettings(labels=["a", "b", "c"]))
    assert found is not None
    assert (found.format, len(found.levels)) == ("dense", 2)


def test_the_command_lists_the_modules_layers() -> None:
    source = ("layers", "support.torch_detectors:OwnDetector", "--shape", "3,32,64")
    text = succeed(*source).stdout
    for words in ("detector, format dense, task detect", "3 classes: cat, dog, bird",
                  "* neck.0  [batch x 16 x 8 x 16]  128 boxes", "* neck.1"):  # fmt: skip
        assert words in text
    assert "scores the output" in succeed(*source, "--detector", "off").stdout


def test_the_command_names_the_option_for_boxes_before_suppression() -> None:
    pytest.importorskip("torchvision")
    source = ("layers", "support.torch_detectors:retinanet", "--shape", "3,32,64")
    assert "--detector before_nms" in fail(*source)
    assert "* backbone.fine" in succeed(*source, "--detector", "before_nms").stdout
