"""The gate proves boxes, scores and gradients of detectors, and refuses wrong ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.artifact import graft as grafting
from graftcam.exporter.errors import VerificationError
from graftcam.exporter.score import box_edges
from graftcam.exporter.verify.runs.box_tables import choose_boxes
from graftcam.exporter.verify.runs.levels_sum import sum_of_levels
from graftcam.runtime.spec.detector import BoxEntries
from support.detectors import Tiny, detector

FORMS = {
    "dense": Tiny(),
    "rows of corners with objectness": Tiny(rows=True, corners=True, objectness=True),
    "slots": Tiny("end_to_end"),
    "suppressed inside": Tiny("nms"),
    "open sizes": Tiny(open_sizes=True),
}


def _file(folder: Path, tiny: Tiny | None = None) -> Path:
    path = folder / "plain.onnx"
    onnx.save(detector(tiny), path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_proven(form: str, tmp_path: Path) -> None:
    level = "full" if form in ("dense", "open sizes") else "quick"
    report = export(_file(tmp_path, FORMS[form]), tmp_path / "a.onnx", verify=level)
    verdict = report.spec.verification
    assert verdict.verdict == "pass"
    assert verdict.checks is not None
    assert {"boxes", "gradients", "heatmap", "scores", "classes"} <= set(verdict.checks)
    gradients = [name for name in verdict.errors if name.startswith("gradients.")]
    assert len(gradients) == 2  # one of each level
    assert max(verdict.errors.values()) < 1e-3


def test_wrong_edges_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = box_edges._TO_EDGES * np.float32(1.1)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(box_edges, "_TO_EDGES", wrong)
    with pytest.raises(VerificationError, match="boxes: error"):
        export(_file(tmp_path), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("level", [0, 1])
def test_wrong_gradients_of_any_level_are_refused(
    level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = grafting.differentiate

    def wrong(emit: Any, made: Any, *arguments: Any, **keywords: Any) -> Any:
        found = right(emit, made, *arguments, **keywords)
        target = made.targets[level]
        return {**found, target: replace(found[target], factor=found[target].factor * 1.01)}

    monkeypatch.setattr(grafting, "differentiate", wrong)
    with pytest.raises(VerificationError, match="gradients"):
        export(_file(tmp_path), tmp_path / "a.onnx")


def test_requests_are_about_the_best_box_of_each_level_and_its_edges(tmp_path: Path) -> None:
    spec = export(_file(tmp_path), tmp_path / "a.onnx", verify="off").spec
    output = np.zeros((1, 7, 20), np.float32)
    output[0, 4:] = 0.1
    output[0, 5, 3], output[0, 6, 18] = 0.8, 0.9  # a box of the finer level, one of the coarser
    assert choose_boxes(spec, {"output0": output}, 4)[0].tolist() == [
        [2, 18, 0],
        [1, 3, 0],
        [2, 18, 1],
        [1, 3, 2],
    ]


def test_the_common_map_is_that_of_onnx() -> None:
    draw = np.random.default_rng(0)
    fine, coarse = draw.random((2, 1, 5, 8)), draw.random((2, 1, 3, 4))
    resized = torch.nn.functional.interpolate(
        torch.tensor(coarse), (5, 8), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(sum_of_levels([fine, coarse]), fine + resized.numpy(), rtol=1e-12)


class Centres(nn.Module):
    """A heat map of centres with sizes: the module's own outputs hold no boxes."""

    def __init__(self, *, drifts: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.Tanh(), nn.Conv2d(8, 8, 3, 1, 1))
        self.heads = nn.ModuleDict(
            {name: self._head(count) for name, count in (("heat", 2), ("size", 2), ("offset", 2))}
        )
        self.drifts = drifts

    @staticmethod
    def _head(count: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.Tanh(), nn.Conv2d(8, count, 1))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        features = torch.tanh(self.stem(images))
        found = {name: head(features) for name, head in self.heads.items()}
        heat = found["heat"].sigmoid()
        if self.drifts and not torch.compiler.is_exporting():
            heat = heat * 1.001
        return {"hm": heat, "wh": found["size"], "reg": found["offset"]}


def test_modules_without_decoded_boxes_are_proven_by_differences(tmp_path: Path) -> None:
    images = torch.rand(1, 3, 32, 32)
    report = export(Centres().eval(), tmp_path / "a.onnx", (images,), detector="centres")
    verdict = report.spec.verification
    assert (verdict.verdict, verdict.reference) == ("pass", "finite-differences")
    assert report.spec.detector is not None
    assert report.spec.detector.box_entries == [BoxEntries("all_boxes", 1, 0, 4)]
    with pytest.raises(VerificationError, match=r"hm: error 1\.0e-03"):
        export(Centres(drifts=True).eval(), tmp_path / "b.onnx", (images,), detector="centres")


@pytest.mark.parametrize("profile", ["default", "web", "cuda"])
def test_plain_detection_skips_what_only_explanations_need(profile: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    export(_file(tmp_path), path, profile=profile)
    nodes = onnx.load(path).graph.node
    branches = [node for node in nodes if node.op_type == "If"]
    assert len(branches) == (profile == "default")
    outside = [node.op_type for node in nodes if node.name.startswith("grad/")]
    if branches:
        explained = next(a.g for a in branches[0].attribute if a.name == "then_branch")
        assert "Conv" in [node.op_type for node in explained.node]
        assert "Conv" not in outside
    else:
        assert "Conv" in outside
