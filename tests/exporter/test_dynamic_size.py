"""Height and width left open: for models that take any size, and refused where they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from graftcam.exporter import CaptureError, LayerError, TorchExport, export
from graftcam.runtime import Explainer
from support.exports import Made
from support.images import noise
from support.nets import ChannelsLast, Flat, Tiny, Tokens, seeded
from support.sessions import open_session
from support.torchscript import scripted, vision_transformer

EXAMPLE = (torch.zeros(1, 3, 16, 12),)
SIZES = ((16, 12), (9, 21), (32, 8))


def check_sizes(path: Path, model: nn.Module, sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
    artifact = Explainer(path, "cpu")
    for height, width in sizes:
        x = noise(2, height, width)
        found = artifact.run(x, np.array([[1, -1]]))
        Made(model, path, artifact.spec).check(found, x, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("kind", "layer"), [(Tiny, "relu2"), (Tiny, "conv1"), (ChannelsLast, "mix")]
)
def test_one_artifact_explains_images_of_all_sizes(
    tmp_path: Path, kind: type[nn.Module], layer: str
) -> None:
    model, path = seeded(kind()), tmp_path / "m.onnx"
    report = export(model, path, EXAMPLE, layers=layer, trace=TorchExport(dynamic_size=True))
    assert report.spec.layers[0].grid == [None, None]
    assert report.verification.images == 8
    assert open_session(path).get_inputs()[0].shape == ["batch", 3, "height", "width"]
    check_sizes(path, model)


def test_a_residual_network_of_open_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]).eval()
    export(
        model, tmp_path / "m.onnx", (torch.zeros(1, 3, 64, 96),),
        trace=TorchExport(dynamic_size=True),
    )  # fmt: skip
    check_sizes(tmp_path / "m.onnx", model, ((70, 101), (96, 64)))


@pytest.mark.parametrize(
    ("build", "size", "reason"),
    [(Flat, 8, "shapes cannot be multiplied"), (vision_transformer, 32, "Wrong image height")],
)
def test_models_of_one_size_are_refused(
    tmp_path: Path, build: Callable[[], nn.Module], size: int, reason: str
) -> None:
    message = rf"only one size \(.*{reason}.*\); export with dynamic_size=False"
    example = (torch.zeros(1, 3, size, size),)
    with pytest.raises(CaptureError, match=message) as caught:
        export(seeded(build()), tmp_path / "m.onnx", example, trace=TorchExport(dynamic_size=True))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_tokens_of_unknown_number_stand_on_no_grid(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="tokens fit the grid of no convolution"):
        export(
            seeded(Tokens()), tmp_path / "m.onnx", EXAMPLE, layers="norm",
            trace=TorchExport(dynamic_size=True),
        )  # fmt: skip


def test_files_with_open_size_are_verified_at_two_sizes(tmp_path: Path) -> None:
    model = seeded(Tiny())
    axes = {"input": {0: "batch", 2: "h", 3: "w"}, "output": {0: "batch"}}
    plain = scripted(model, tmp_path / "plain.onnx", 17, axes=axes)
    report = export(plain, tmp_path / "m.onnx")
    assert report.spec.layers[0].grid == [None, None]
    assert report.verification.images == 4
    x = np.ones((1, 3, 9, 21), np.float32)
    assert Explainer(tmp_path / "m.onnx", "cpu").run(x)["heatmap"].shape == (1, 1, 5, 11)


@pytest.mark.parametrize("names", [("height", "width"), ("side", "side"), ("batch", "batch")])
def test_the_map_of_a_strided_file_is_not_taken_for_the_batch(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    """At stride 32 a map of 2 or 3 rows looks like a batch of 2 or 3, and names may repeat."""
    strided = [nn.Conv2d(c, 8, 3, 2, 1) for c in (3, 8, 8, 8, 8)]
    pairs = (part for convolution in strided for part in (convolution, nn.ReLU()))
    model = seeded(nn.Sequential(*pairs, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)))
    axes = {"input": {0: "batch", 2: names[0], 3: names[1]}}
    plain = scripted(model, tmp_path / "plain.onnx", 17, (64, 64), axes)
    report = export(plain, tmp_path / "m.onnx")
    assert report.spec.layers[0].grid == [None, None]
    found = Explainer(tmp_path / "m.onnx", "cpu").run(noise(1, 96, 224), np.array([[1, 3]]))
    # Behind the last ReLU there are a mean over 3 x 7 places and a linear layer.
    weights = model[-1].weight[[1, 3]].detach().numpy()
    expected = np.broadcast_to(weights[None, :, :, None, None] / 21, (1, 2, 8, 3, 7))
    np.testing.assert_allclose(found["gradients"], expected, rtol=1e-6)
