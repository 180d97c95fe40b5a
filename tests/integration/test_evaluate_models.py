"""Evaluations of models of many kinds: tokens, channels last, fixed batches, segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import TorchExport, export
from graftcam.runtime import evaluate
from graftcam.runtime.spec import Preprocess
from support.artifacts import write_segmenter
from support.images import photo
from support.nets import Tiny, seeded
from support.small_vit import SmallVit

SIZE = (24, 32)
QUICK = {"steps": 3, "squares": 4, "noises": 1, "stages": 2, "percentiles": [50]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        image = np.roll(photo(48, 64), 11 * number, axis=1)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def exported(model: nn.Module, path: Path, **more: Any) -> Path:
    transform = Preprocess(
        size=SIZE, resize=SIZE, resize_mode="exact", interpolation="bilinear",
        mean=(0.5,) * 3, std=(0.25,) * 3,
    )  # fmt: skip
    count = more.pop("batch", 1)
    trace = TorchExport(dynamic_batch=count == 1)
    export(seeded(model), path, (torch.zeros(count, 3, *SIZE),), preprocess=transform, trace=trace,
           verify="off", **more)  # fmt: skip
    return path


def check(path: Path, photos: Path, **more: Any) -> Any:
    found = evaluate(path, photos, measures=["all"], tuning=QUICK, provider="cpu", **more)
    assert found.summary.photographs == 3
    assert found.summary.failed == 0
    for measure, several in found.summary.standings.items():
        for one in several:
            assert measure.startswith("randomisation") or one.mean is not None
    return found


def test_tokens_and_attention(photos: Path, tmp_path: Path) -> None:
    path = exported(SmallVit(), tmp_path / "vit.onnx", layers=["blocks.1.norm1"],
                    extras=["legrad", "rollout"])  # fmt: skip
    found = check(path, photos, methods=["gradcam", "legrad", "rollout"])
    names = [(one.method, one.layer) for one in found.summary.standings["deletion"]][:3]
    assert names == [("gradcam", "blocks.1.norm1"), ("legrad", None), ("rollout", None)]
    # Rollout knows no class.
    assert found.summary.mean("class-sensitivity", "rollout") == pytest.approx(1)


def test_several_layers_and_methods_that_rerun(photos: Path, tmp_path: Path) -> None:
    path = exported(Tiny(), tmp_path / "tiny.onnx", layers=["relu1", "relu2"],
                    extras=["head", "input_gradients"])  # fmt: skip
    found = check(path, photos, methods=["hirescam", "reciprocam", "saliency"],
                  layers=["relu1", "relu2"])  # fmt: skip
    assert len(found.summary.standings["road"]) == 6 + 4
    # Saliency follows the input's gradient, whatever the layer.
    first, other = (found.summary.mean("deletion", f"saliency at relu{n}") for n in (1, 2))
    assert first == other


def test_a_fixed_batch(photos: Path, tmp_path: Path) -> None:
    open_batch = exported(Tiny(), tmp_path / "open.onnx", layers="relu2")
    fixed = exported(Tiny(), tmp_path / "fixed.onnx", layers="relu2", batch=2)
    one, other = (check(path, photos) for path in (open_batch, fixed))
    for measure, several in one.summary.standings.items():
        for first, second in zip(several, other.summary.standings[measure], strict=True):
            if first.mean is not None and measure != "increase":
                assert first.mean == pytest.approx(second.mean, abs=2e-3), (measure, first.method)


def test_a_segmenter(photos: Path, tmp_path: Path) -> None:
    path = write_segmenter(tmp_path / "segmenter.onnx")
    found = evaluate(path, photos, measures=["deletion", "road"], tuning=QUICK, classes=["red"])
    assert found.summary.photographs == 3
