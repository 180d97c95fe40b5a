"""Each method against other people's code, on the same tensors.

What pytorch-grad-cam, torch-cam and captum do otherwise on purpose is named where it matters; all
of them return raw maps, without their normalisation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam as pgc
import torch
import torchcam.methods as torchcam
from captum.attr import LayerGradCam, LayerGradientXActivation
from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget
from torch import nn

from graftcam.runtime.methods.table import METHODS
from support.nets import Flat, Tiny, seeded

IMAGES, CLASSES, CHANNELS = 3, 2, 5


def tensors(space: tuple[int, ...], *, positive: bool = True) -> tuple[Any, Any]:
    """Activations, behind a ReLU or not, and gradients, of sizes at which no epsilon counts."""
    generator = np.random.default_rng(0)
    activations = generator.normal(size=(IMAGES, CHANNELS, *space))
    if positive:
        activations = np.maximum(activations, 0)
    shape = (IMAGES, CLASSES, CHANNELS, *space)
    gradients = generator.uniform(0.5, 2, shape) * generator.choice([-1, 1], shape)
    return activations.astype(np.float32), gradients.astype(np.float32)


def theirs(peer: type[Any], activations: Any, gradients: Any, *, smooth: bool = False) -> Any:
    """pytorch-grad-cam's maps before normalisation, class by class, with its ReLU."""
    layer = nn.Conv2d(1, 1, 1)
    with peer(layer, [layer]) as method:
        maps = [
            method.get_cam_image(None, None, None, activations, gradients[:, k], smooth)
            for k in range(gradients.shape[1])
        ]
    return np.maximum(np.stack(maps, axis=1), 0)


SAME = {
    "gradcam": pgc.GradCAM,
    "xgradcam": pgc.XGradCAM,
    "hirescam": pgc.HiResCAM,
    "layercam": pgc.LayerCAM,
    "gradcam-elementwise": pgc.GradCAMElementWise,
    # Its epsilon of 1e-6 is below 1e-5 of any divisor here.
    "gradcam++": pgc.GradCAMPlusPlus,
}


@pytest.mark.parametrize("space", [(4, 6), (2, 3, 4)], ids=["2-d", "3-d"])
@pytest.mark.parametrize("method", SAME)
def test_pytorch_grad_cam(method: str, space: tuple[int, ...]) -> None:
    activations, gradients = tensors(space)
    expected = theirs(SAME[method], activations, gradients)
    assert expected.max() > 0
    maps = METHODS[method](activations, gradients)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["hirescam", "layercam", "gradcam-elementwise", "gradcam"])
def test_pytorch_grad_cam_on_signed_activations(method: str) -> None:
    activations, gradients = tensors((4, 6), positive=False)
    expected = theirs(SAME[method], activations, gradients)
    maps = METHODS[method](activations, gradients)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def test_pytorch_grad_cams_counterfactual_is_that_of_the_negative_score() -> None:
    activations, gradients = tensors((4, 6))
    expected = theirs(pgc.GradCAM, activations, -gradients)
    maps = METHODS["counterfactual"](activations, gradients)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def up_to_the_sign(method: str, ours: Any, peer: type[Any], *, smooth: bool = False) -> None:
    """Compare with the sign of the component that is nearer: the peer's, or its opposite."""
    activations, gradients = tensors((4, 6))
    original = theirs(peer, activations, gradients, smooth=smooth)
    turned = theirs(_turned(peer), activations, gradients, smooth=smooth)
    maps = ours(activations, gradients)
    for map_, one, other in zip(
        *(a.reshape(-1, 24) for a in (maps, original, turned)), strict=True
    ):
        nearer = min((one, other), key=lambda side: np.abs(side - map_).max())
        # An eigenvector of float32 inner products: their rounding over the gap, here above 0.1.
        np.testing.assert_allclose(map_, nearer, rtol=1e-3, atol=1e-4)
        assert map_.max() > 0


def _turned(peer: type[Any]) -> type[Any]:
    """The same peer with components of the opposite sign."""

    class Turned(peer):
        def get_cam_image(self, *arguments: Any) -> Any:
            return -super().get_cam_image(*arguments)

    return Turned


@pytest.mark.parametrize(
    ("method", "peer"),
    [("eigencam", pgc.EigenCAM), ("eigengradcam", pgc.EigenGradCAM), ("kpcacam", pgc.KPCA_CAM)],
)
def test_pytorch_grad_cams_components_up_to_their_sign(method: str, peer: type[Any]) -> None:
    up_to_the_sign(method, METHODS[method], peer)


@pytest.mark.parametrize("method", SAME)
def test_pytorch_grad_cams_smoothing_up_to_its_sign(method: str) -> None:
    def smoothed(activations: Any, gradients: Any) -> Any:
        return METHODS[method](activations, gradients, eigen_smooth=True)

    up_to_the_sign(method, smoothed, SAME[method], smooth=True)


def test_pytorch_grad_cams_fem_where_strong_places_are_equally_strong() -> None:
    """It weighs activations by shares, FEM shares by activations: alike for ones and zeros."""
    activations = (np.random.default_rng(0).random((IMAGES, CHANNELS, 6, 8)) > 0.93).astype("f")
    gradients = np.zeros((IMAGES, 1, CHANNELS, 6, 8), np.float32)
    expected = theirs(pgc.FEM, activations, gradients)
    assert expected.max() > 0
    np.testing.assert_allclose(METHODS["fem"](activations, gradients), expected, rtol=1e-5)


def of_model(model: nn.Module, layer: nn.Module, x: torch.Tensor) -> tuple[Any, Any, torch.Tensor]:
    """Activations, gradients of all classes, and scores."""
    outputs: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda *a: outputs.append(a[2]))
    scores = model(x)
    handle.remove()
    (value,) = outputs
    rows = [
        torch.autograd.grad(scores[:, k].sum(), value, retain_graph=True)[0]
        for k in range(scores.shape[1])
    ]
    return value.detach().numpy(), torch.stack(rows, 1).numpy(), scores.detach()


def pooled() -> tuple[nn.Module, nn.Module, torch.Tensor]:
    model = seeded(Tiny())
    return model, model.get_submodule("relu2"), torch.randn(2, 3, 8, 8)


def unpooled() -> tuple[nn.Module, nn.Module, torch.Tensor]:
    model = seeded(Flat())
    return model, model.get_submodule("body"), torch.randn(2, 3, 8, 8)


@pytest.mark.parametrize(
    ("method", "peer", "made"),
    [
        # Its Grad-CAM++ divides a copy: the weights stay sums of ReLU(g)^3.
        ("gradcam", torchcam.GradCAM, unpooled),
        ("xgradcam", torchcam.XGradCAM, unpooled),
        ("layercam", torchcam.LayerCAM, unpooled),
        ("cam", torchcam.CAM, pooled),
    ],
)
def test_torch_cam(method: str, peer: type[Any], made: Any) -> None:
    torch.manual_seed(0)
    model, layer, x = made()
    activations, gradients, _ = of_model(model, layer, x)
    maps = METHODS[method](activations, gradients)
    options = {"fc_layer": "head"} if method == "cam" else {}
    with peer(model, layer, input_shape=(3, 8, 8), **options) as extractor:
        for k in (0, 2):
            (expected,) = extractor(k, model(x), normalized=False)
            # torch-cam leaves the last ReLU to its normalisation.
            expected = expected.detach().numpy()
            expected = expected if method == "cam" else np.maximum(expected, 0)
            np.testing.assert_allclose(maps[:, k], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("made", [pooled, unpooled])
def test_captum(made: Any) -> None:
    torch.manual_seed(0)
    model, layer, x = made()
    activations, gradients, _ = of_model(model, layer, x)
    maps = METHODS["gradcam"](activations, gradients)
    signed = METHODS["gradcam"](activations, gradients, relu=False)
    local = METHODS["hirescam"](activations, gradients, relu=False)
    peer, products = LayerGradCam(model, layer), LayerGradientXActivation(model, layer)
    for k in range(2):
        for ours, expected in (
            (maps, peer.attribute(x, k, relu_attributions=True)),
            (signed, peer.attribute(x, k)),
            (local, products.attribute(x, k).sum(1, keepdim=True)),
        ):
            expected = expected.detach().numpy()[:, 0]
            np.testing.assert_allclose(ours[:, k], expected, rtol=1e-4, atol=1e-6)


def test_torch_cams_finer_cam_with_the_same_references() -> None:
    torch.manual_seed(0)
    model, layer, x = unpooled()
    activations, gradients, _ = of_model(model, layer, x)
    chosen = [4, 0, 2]
    maps = METHODS["finercam"](activations, gradients[:, chosen], references=2)
    with torchcam.FinerCAM(model, layer, (3, 8, 8), gamma=0.6) as extractor:
        (expected,) = extractor(4, model(x), comparison_idx=[0, 2], normalized=False)
    assert maps[:, 0].max() > 0
    expected = np.maximum(expected.detach().numpy(), 0)
    np.testing.assert_allclose(maps[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_pytorch_grad_cams_finer_target_with_one_reference() -> None:
    """With one reference its probability cancels, and alpha is gamma."""
    torch.manual_seed(0)
    model, layer, x = unpooled()
    activations, gradients, _ = of_model(model, layer, x)
    maps = METHODS["finercam"](activations, gradients[:, [1, 3]], gamma=0.8)
    target = FinerWeightedTarget(1, [3], 0.8)
    outputs: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda *a: outputs.append(a[2]))
    loss = target(model(x)).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(loss, outputs)
    expected = theirs(pgc.GradCAM, activations, gradient.numpy()[:, None])
    # It divides by the probability plus 1e-9.
    np.testing.assert_allclose(maps[:, :1], expected, rtol=1e-3, atol=1e-6)
