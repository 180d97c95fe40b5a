"""The models of the zoo, with their input sizes and the inner layers that are tried."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision import models


@dataclass(frozen=True)
class Case:
    """A model at one input size.

    Attributes:
        model: Its name in torchvision.
        size: Height and width of the input.
        layers: Inner layers, tried together in one artifact beside the automatic one.
        options: Further arguments of the constructor.
    """

    model: str
    size: tuple[int, int]
    layers: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Such as ``resnet50 64x96``."""
        return f"{self.model} {self.size[0]}x{self.size[1]}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one input, without the batch axis."""
        return (3, *self.size)

    def build(self, seed: int = 0) -> nn.Module:
        """The model with random weights."""
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's notes on how weights are drawn
            return models.get_model(self.model, weights=None, **self.options)


# Small pictures, not square, for speed. The auxiliary heads (training only) want large ones.
_SMALL = (64, 96)
_NO_AUX = {"aux_logits": False, "init_weights": False}
_case: Callable[..., Case] = partial(Case, size=_SMALL)

CASES = [
    _case("resnet18", layers=("layer1", "layer2", "layer3")),
    _case("squeezenet1_1", layers=("features.5", "features.9")),
    _case("shufflenet_v2_x1_0", layers=("conv1", "stage2")),
    _case("mnasnet1_0", layers=("layers.8", "layers.10")),
    _case("mobilenet_v2", layers=("features.3", "features.10")),
    _case("mobilenet_v3_large", layers=("features.3", "features.9")),
    _case("regnet_y_400mf", layers=("trunk_output.block1", "trunk_output.block3")),
    _case("efficientnet_b0", layers=("features.2", "features.4")),
    _case("googlenet", layers=("conv1", "inception3b", "inception4c"), options=_NO_AUX),
    Case("inception_v3", (128, 160), ("Conv2d_2b_3x3", "Mixed_5d", "Mixed_6c"), _NO_AUX),
    _case("densenet121", layers=("features.denseblock2", "features.transition1")),
    _case("convnext_tiny", layers=("features.1", "features.3", "features.5.4.block.3")),
    _case("swin_t", layers=("features.1", "features.3")),
    Case("vit_b_16", (64, 64), ("encoder.layers.encoder_layer_5",), {"image_size": 64}),
    _case("resnet50", layers=("layer1", "layer2", "layer3", "layer4.1.conv3")),
    _case("resnet152", layers=("layer1", "layer3")),
    # Adaptive pools: other than at their own size they are no plain average.
    Case("alexnet", (224, 224), ("features.2", "features.8")),
    Case("alexnet", (96, 128), ("features.2", "features.8")),
    Case("vgg16", (96, 64), ("features.4", "features.16", "features.30")),
    Case("vgg16_bn", (64, 96), ("features.6", "features.23")),
    Case("vgg16", (224, 224), ("features.4", "features.16", "features.30")),
    Case("vgg16_bn", (224, 224), ("features.6", "features.23")),
]
