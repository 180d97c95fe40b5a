"""Perturbation methods against pytorch-grad-cam, and against their definitions, model by model."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_grad_cam import AblationCAM, ScoreCAM, ShapleyCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from graftcam.runtime.session.session import Session
from support.heads import torch_head
from support.images import noise
from support.nets import Tiny, seeded
from support.perturbation import CLASSES, MODELS, TOLERANCE, artifact, explained


def _shaped(maps: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Maps [N, h, w] as pytorch-grad-cam shows them: stretched from 0 to 1, at the input's size."""
    return scale_cam_image(scale_cam_image(maps, x.shape[:1:-1]))


def _peer(kind: Any, name: str, x: np.ndarray, class_id: int, **more: Any) -> np.ndarray:
    """What a class of pytorch-grad-cam makes of a model."""
    model, layer, _ = MODELS[name]
    torch_model = seeded(model())
    part = torch_model.get_submodule(layer)
    part.register_forward_hook(lambda _m, _i, output: output.clone())
    cam = kind(model=torch_model, target_layers=[part], **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cam(torch.from_numpy(x), [ClassifierOutputTarget(class_id)] * len(x))
    cam.activations_and_grads.gradients = []  # its own clearing up fails on them
    return found


@pytest.mark.parametrize("name", ["cut", "residual"])
def test_scorecam_is_pytorch_grad_cams(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its masks are resized with aligned corners; a cell's centre is ours, as in all our maps.
    monkeypatch.setattr(
        torch.nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear")
    )
    x = noise(2, *MODELS[name][2])
    found = explained(name, x, "scorecam")
    for k, class_id in enumerate(CLASSES[0]):
        expected = _peer(ScoreCAM, name, x, class_id)
        assert expected.max() > 0.9
        np.testing.assert_allclose(_shaped(found.maps[:, k], x), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["cut", "residual"])
def test_ablationcam_is_pytorch_grad_cams_where_scores_are_positive(name: str) -> None:
    # Behind a ReLU both set a channel to zero (elsewhere it takes -10**7, we the paper's zero).
    x = noise(6, *MODELS[name][2])
    found = explained(name, x, "ablationcam", [list(range(5))])
    compared = 0
    for class_id in range(5):
        expected = _peer(AblationCAM, name, x, class_id, batch_size=4)
        positive = found.scores[:, class_id] > 0
        compared += positive.sum()
        np.testing.assert_allclose(
            _shaped(found.maps[:, class_id], x)[positive], expected[positive], rtol=2e-3, atol=2e-3
        )
    assert compared > 5


@pytest.mark.parametrize("name", ["smooth", "residual"])
def test_shapleycam_is_pytorch_grad_cams(name: str) -> None:
    """Its Hessian-vector product is exact; ours is a difference, in float32."""
    x = noise(2, *MODELS[name][2])
    found, plain = (explained(name, x, one) for one in ("shapleycam", "gradcam"))
    # Behind ReLUs alone nothing is curved.
    curvature = np.abs(found.maps - plain.maps).max() / plain.maps.max()
    assert (curvature > 0.05) == (name == "smooth")
    for k, class_id in enumerate(CLASSES[0]):
        expected = _peer(ShapleyCAM, name, x, class_id)
        np.testing.assert_allclose(_shaped(found.maps[:, k], x), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["tokens", "channels last", "smooth"])
def test_shapleycam_is_its_definition(name: str) -> None:
    """By automatic differentiation, twice, in float64."""
    x = noise(2, *MODELS[name][2])
    session = Session(artifact(name))
    layer, classes = session.spec.layers[0], range(session.spec.score.classes)
    found, plain = (explained(name, x, one, [[*classes]]) for one in ("shapleycam", "gradcam"))
    given = torch.from_numpy(session.run({"x": x})[layer.activations]).double().requires_grad_()
    model = seeded(MODELS[name][0]()).double()
    scores = torch_head(model, layer, torch.from_numpy(x).double())(given)
    for k in classes:
        total = scores[:, k].sum()
        (slope,) = torch.autograd.grad(total, given, create_graph=True)
        (product,) = torch.autograd.grad(slope, given, given.detach(), retain_graph=True)
        weights = (slope - product / 2).mean((2, 3), keepdim=True)
        expected = torch.relu((weights * given).sum(1)).detach().numpy()
        size = expected.max()
        np.testing.assert_allclose(found.maps[:, k], expected, rtol=2e-3, atol=1e-3 * size)
    assert np.abs(plain.maps - found.maps).max() > 0.02 * found.maps.max() > 0


def _reference(name: str, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """The model's head in PyTorch, for one image at a time, and its activations."""
    model, _, _ = MODELS[name]
    session = Session(artifact(name))
    layer = session.spec.layers[0]
    activations = session.run({"x": x})[layer.activations]
    torch_model = seeded(model())

    def head(row: int, changed: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(x[row : row + 1])
        with torch.no_grad():
            return torch_head(torch_model, layer, image)(torch.from_numpy(changed)).numpy()

    return head, activations


@pytest.mark.parametrize("name", MODELS)
def test_ablationcam_is_its_definition(name: str) -> None:
    x = noise(3, *MODELS[name][2], seed=0)
    head, activations = _reference(name, x)
    found = explained(name, x, "ablationcam")
    for row, given in enumerate(activations):
        whole = head(row, given[None])[0]
        for k, class_id in enumerate(CLASSES[0]):
            total = np.zeros(given.shape[1:], np.float32)
            for channel in range(len(given)):
                without = given.copy()
                without[channel] = 0
                drop = whole[class_id] - head(row, without[None])[0, class_id]
                total += drop / abs(whole[class_id]) * given[channel]
            np.testing.assert_allclose(found.maps[row, k], np.maximum(total, 0), **TOLERANCE)
    assert found.maps.max() > 0


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_reciprocam_is_its_definition(name: str, gaussian: bool) -> None:
    x = noise(2, *MODELS[name][2])
    head, activations = _reference(name, x)
    found = explained(name, x, "reciprocam", gaussian=gaussian)
    window = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 16
    for row, given in enumerate(activations):
        height, width = given.shape[1:]
        scores = np.zeros((2, height, width), np.float32)
        for i, j in np.ndindex(height, width):
            mask = np.zeros((height + 2, width + 2), np.float32)
            if gaussian:
                mask[i : i + 3, j : j + 3] = window
            else:
                mask[i + 1, j + 1] = 1
            scores[:, i, j] = head(row, (given * mask[1:-1, 1:-1])[None])[0, CLASSES[0]]
        expected = scores - scores.min(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(found.maps[row], expected, **TOLERANCE)
    assert found.maps.max() > 0


def test_rise_is_its_definition() -> None:
    size, count, grid, p = (9, 8), 50, 3, 0.4
    x = noise(2, *size)
    found = explained("cut", x, "rise", masks=count, grid=grid, p=p, seed=5)
    generator = np.random.default_rng(5)
    cells = torch.from_numpy((generator.random((count, 1, grid, grid)) < p).astype(np.float32))
    shifts = generator.integers(0, [3, 3], (count, 2))
    large = nn.functional.interpolate(cells, (12, 12), mode="bilinear")
    masks = torch.stack(
        [one[:, i : i + 9, j : j + 8] for one, (i, j) in zip(large, shifts, strict=True)]
    )
    model = seeded(Tiny())
    with torch.no_grad():
        for row, image in enumerate(torch.from_numpy(x)):
            confidences = model(image * masks).softmax(1)[:, CLASSES[0]]
            above = confidences - confidences.mean(0)  # the constant part left out
            expected = torch.einsum("vk,vhw->khw", above, masks[:, 0]) / (count * p)
            np.testing.assert_allclose(found.maps[row], expected, **TOLERANCE)
