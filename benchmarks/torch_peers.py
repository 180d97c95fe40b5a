"""`peers` sets up other packages for Grad-CAM in PyTorch, called as their documentation says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchcam.methods import GradCAM as TorchCam

from graftcam.runtime.spec import Layer

from .truth import Array

Maps = Callable[[], Any]
_SAME = 0.99  # correlation of maps that are taken for the same


def peers(
    module: nn.Module, layer: Layer, pixels: Array, target: int
) -> dict[str, Callable[[], Maps]]:
    """How to set up each package; what that gives computes the maps of the batch.

    Each gets a copy of the model, since packages leave hooks in it.
    """
    inputs = torch.from_numpy(pixels)
    laid = _channels_first(layer)

    def pytorch_grad_cam() -> Maps:
        model, part = _copied(module, layer.name)
        cam: Any = GradCAM(model=model, target_layers=[part], reshape_transform=laid)
        _keep(part)
        targets = [ClassifierOutputTarget(target)] * len(inputs)
        return lambda: cam(inputs, targets)

    def captum() -> Maps:
        cam = LayerGradCam(*_copied(module, layer.name))
        return lambda: cam.attribute(inputs, target=target, relu_attributions=True)

    def torch_cam() -> Maps:
        model, part = _copied(module, layer.name)
        cam = TorchCam(model, part, reshape_transform=laid)
        _keep(part)
        return lambda: cam(target, model(inputs))[0]

    return {"pytorch-grad-cam": pytorch_grad_cam, "captum": captum, "torch-cam": torch_cam}


def forward(module: nn.Module, pixels: Array) -> Maps:
    """PyTorch's own prediction."""
    return partial(torch.inference_mode()(module), torch.from_numpy(pixels))


def compare(maps: Any, ours: Array) -> str:
    """Why a peer's maps are not ours; empty if they are, up to scale and size.

    Args:
        maps: What the peer gives, [N, h, w] or [N, 1, h, w].
        ours: Heatmaps [N, h, w].
    """
    theirs = np.asarray(maps.detach() if isinstance(maps, torch.Tensor) else maps)
    theirs = theirs.reshape(len(ours), *theirs.shape[-2:]).astype(np.float32)
    if theirs.shape != ours.shape and min(theirs.shape[1:]) < min(ours.shape[1:]):
        return f"its map has shape {theirs.shape[1:]}, not {ours.shape[1:]}"
    alike = min(
        float(np.corrcoef(one.ravel(), cv2.resize(other, one.shape[::-1]).ravel())[0, 1])
        for one, other in zip(theirs, ours, strict=True)
    )
    return "" if alike >= _SAME else f"its map is another one (correlation {alike:.2f})"


def _copied(module: nn.Module, layer: str) -> tuple[nn.Module, nn.Module]:
    model = copy.deepcopy(module)
    return model, model.get_submodule(layer)


def _keep(part: nn.Module) -> None:
    """Let a later in-place operation change a copy, not what the hooks have stored."""
    part.register_forward_hook(lambda _module, _inputs, output: output.clone())


def _channels_first(layer: Layer) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The ``reshape_transform`` that the packages ask for where a layer is laid out otherwise."""
    if layer.layout == "channels_first":
        return None
    if layer.layout == "channels_last":
        return lambda value: value.permute(0, 3, 1, 2)
    height, width = layer.grid

    def tokens(value: torch.Tensor) -> torch.Tensor:
        spread = value[:, layer.prefix_tokens :].reshape(len(value), height, width, -1)
        return spread.permute(0, 3, 1, 2)

    return tokens
