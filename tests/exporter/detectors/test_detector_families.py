"""Detectors of other packages as modules, from small configurations with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import export
from support.sessions import open_session
from support.torch_detectors import autograd

pytestmark = pytest.mark.slow

SIDE, CLASS = (64, 96), 2
_SMALL = {
    "use_timm_backbone": False, "use_pretrained_backbone": False, "d_model": 16,
    "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
    "num_queries": 5, "num_labels": 7,
}  # fmt: skip


def _images() -> torch.Tensor:
    return torch.rand(1, 3, *SIDE, generator=torch.Generator().manual_seed(1))


def _seeded(module: nn.Module) -> nn.Module:
    """Weights with which signals neither vanish nor grow."""
    torch.manual_seed(0)
    for one in module.parameters():
        if one.dim() > 1:
            nn.init.normal_(one, std=1.4 / one[0].numel() ** 0.5)
    return module.eval()


def _of_transformers(family: str) -> nn.Module:
    transformers: Any = pytest.importorskip("transformers")
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    config = getattr(transformers, f"{family}Config")(backbone_config=backbone, **_SMALL)
    return _seeded(getattr(transformers, f"{family}ForObjectDetection")(config))


@pytest.mark.parametrize(("family", "no_object"), [("Detr", True), ("ConditionalDetr", None)])
@pytest.mark.filterwarnings("ignore")
def test_queries_of_transformers(tmp_path: Path, family: str, no_object: bool | None) -> None:
    module = _of_transformers(family)
    report = export(module, tmp_path / "a.onnx", (_images(),), verify="off")
    detector, layers = report.spec.detector, [one.name for one in report.spec.layers]
    assert detector is not None
    assert (detector.format, detector.no_object) == ("queries", no_object)
    assert report.spec.labels == [f"LABEL_{number}" for number in range(7)]
    assert layers[0] in dict(module.named_modules())
    session = open_session(tmp_path / "a.onnx")
    names = [one.name for one in session.get_outputs()]
    for target in (0, 1):

        def score(result: Any, target: int = target) -> torch.Tensor:
            x, _, width, _ = result["pred_boxes"][0, 3]
            return (x - width / 2) * SIDE[1] if target else result["logits"][0, 3, CLASS]

        feeds = {
            session.get_inputs()[0].name: _images().numpy(), "box_index": np.array([[3]]),
            "box_target": np.array([[target]]), "class_index": np.array([[CLASS]]),
        }  # fmt: skip
        found = dict(zip(names, session.run(None, feeds), strict=True))["gradients"][0, 0]
        wanted = autograd(module, layers, score, _images())[0].reshape(found.shape)
        assert np.linalg.norm(found - wanted) < 1e-3 * np.linalg.norm(wanted)  # float32


@pytest.mark.filterwarnings("ignore")
def test_a_yolo_keeps_working_and_has_its_own_names_and_layers(tmp_path: Path) -> None:
    ultralytics: Any = pytest.importorskip("ultralytics")
    module, images = ultralytics.YOLO("yolov8n.yaml", verbose=False).model.eval(), _images()
    report = export(module, tmp_path / "a.onnx", (images,), verify="off")
    detector = report.spec.detector
    assert detector is not None
    assert [one.layer for one in detector.levels] == ["model.15", "model.18", "model.21"]
    assert [one.count for one in detector.levels] == [96, 24, 6]
    assert len(report.spec.labels or ()) == 80
    assert module(images)[0].shape == (1, 84, 126)


@pytest.mark.filterwarnings("ignore")
def test_yolos_is_explained_where_patches_still_reach_its_detection_tokens(tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        image_size=[*SIDE], patch_size=16, num_detection_tokens=5, num_labels=7,
    )  # fmt: skip
    module = _seeded(transformers.YolosForObjectDetection(config))
    report = export(module, tmp_path / "a.onnx", (_images(),))
    (layer,) = report.spec.layers
    assert layer.name == "vit.encoder.layer.1"  # of the last one only the detection tokens are read
    assert (layer.grid, layer.prefix_tokens, layer.suffix_tokens) == ([4, 6], 1, 5)
    assert report.verification.verdict == "pass"


def _calibrated(module: nn.Module) -> nn.Module:
    """Batch norms with the statistics of noise, frozen ones too: signals stay of the same size."""

    def measure(layer: Any, given: Any) -> None:
        layer.running_mean.copy_(given[0].mean((0, 2, 3)))
        layer.running_var.copy_(given[0].var((0, 2, 3), unbiased=False) + 1e-3)

    norms = [one for one in module.modules() if hasattr(one, "running_mean")]
    hooks = [one.register_forward_pre_hook(measure) for one in norms]
    with torch.no_grad():
        module(torch.rand(2, 3, *SIDE))
    for hook in hooks:
        hook.remove()
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["RTDetr", "RTDetrV2", "DFine"])
def test_models_that_detach_are_judged_by_finite_differences(tmp_path: Path, family: str) -> None:
    transformers: Any = pytest.importorskip("transformers")
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    points = [2, 2, 2] if family == "DFine" else 2
    config = getattr(transformers, f"{family}Config")(
        backbone_config=backbone, use_timm_backbone=False, use_pretrained_backbone=False,
        encoder_hidden_dim=16, encoder_in_channels=[8, 16, 16], encoder_layers=1,
        encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16, num_queries=6,
        decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, decoder_layers=2,
        decoder_attention_heads=2, decoder_n_points=points, num_denoising=0, num_labels=7,
    )  # fmt: skip
    made = getattr(transformers, f"{family}ForObjectDetection")(config)
    module = _calibrated(_seeded(made))
    report = export(module, tmp_path / "a.onnx", (_images(),))
    names = [f"model.decoder_input_proj.{place}" for place in range(3)]
    assert [one.name for one in report.spec.layers] == names
    notes = " ".join(report.notes)
    assert "PyTorch autograd gives another gradient" in notes
    assert "finite differences agree with the artifact" in notes
    assert report.verification.verdict == "pass"
