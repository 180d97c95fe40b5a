"""This module lists the models of the zoo, with their input sizes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torchvision import models

from . import zoo_transformers
from .zoo_timm import timm_models

Family = Literal["torchvision", "segmentation", "timm", "transformers"]


@dataclass(frozen=True)
class Case:
    """A model at one input size.

    Attributes:
        family: Where it comes from.
        model: Its name there.
        size: Height and width of the input; of a clip or spectrogram its whole shape.
        options: Further arguments of the constructor.
        layers: Target layers; chosen by `zoo_layers` where none are named.
        gigabytes: Memory that its check takes.
    """

    family: Family
    model: str
    size: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    gigabytes: float = 4

    @property
    def key(self) -> str:
        """Such as ``torchvision resnet50 64x96``."""
        return f"{self.family} {self.model} {'x'.join(map(str, self.size))}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input, without the batch axis."""
        if self.family == "transformers":
            return zoo_transformers.MODELS[self.model][0]
        return (3, *self.size)

    def build(self, seed: int = 0) -> nn.Module:
        """The model with random weights."""
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's notes on how weights are drawn
            if self.family == "transformers":
                return zoo_transformers.build(self.model)
            if self.family == "timm":
                import timm

                return timm.create_model(self.model, pretrained=False, **self.options)
            options = dict(self.options)
            if self.family == "segmentation":
                options["weights_backbone"] = None
            return models.get_model(self.model, weights=None, **options)


# Small images, not square, for speed; some models cannot take them.
_SMALL = (64, 96)
_DEFAULTS: dict[str, Any] = {"size": _SMALL}
_NO_AUX = {"aux_logits": False, "init_weights": False}  # training only, and want large images
_TORCHVISION: dict[str, dict[str, Any]] = {
    "googlenet": {"options": _NO_AUX},
    "inception_v3": {"size": (128, 160), "options": _NO_AUX},
    "maxvit_t": {"size": (224, 224)},
    "vit_b_16": {"size": (64, 64), "options": {"image_size": 64}},
    "vit_b_32": {"size": (128, 128), "options": {"image_size": 128}},
    "vit_l_16": {"size": (64, 64), "options": {"image_size": 64}, "gigabytes": 12},
    "vit_l_32": {"size": (128, 128), "options": {"image_size": 128}, "gigabytes": 12},
    "vit_h_14": {"size": (56, 56), "options": {"image_size": 56}, "gigabytes": 24},
    "regnet_y_128gf": {"gigabytes": 24},
}
# Adaptive pools: other than at their own size they are no plain average.
_NATIVE = ("alexnet", "vgg16", "vgg16_bn")
_LAYERS = {
    # At random weights, what a block's attention adds says nothing of places.
    "volo_d1_224": ("norm", "network.0.1.mlp.fc1", "network.3.3.norm1"),
    # Tokens are sorted by windows in between, where a layer is refused.
    "hiera_tiny_224": ("blocks.11", "blocks.11.norm1", "patch_embed"),
    # Embeddings are cut at places that are computed at run time.
    "TimesformerForVideoClassification": (
        "timesformer.encoder.layer.1", "timesformer.encoder.layer.0",
    ),
    # At its first stage nearly all maps are negative everywhere.
    "SegformerForImageClassification": (
        "segformer.stages.3", "segformer.stages.2", "segformer.stages.1",
    ),
}  # fmt: skip

CASES = [
    *(
        Case("torchvision", name, **(_DEFAULTS | _TORCHVISION.get(name, {})))
        for name in models.list_models(module=models)
    ),
    *(Case("torchvision", name, (224, 224)) for name in _NATIVE),
    *(
        Case("segmentation", name, _SMALL)
        for name in models.list_models(module=models.segmentation)
    ),
    *(
        Case("timm", name, size, options, _LAYERS.get(name, ()))
        for name, size, options in timm_models()
    ),
    *(
        Case(
            "transformers",
            name,
            shape[1:] if len(shape) == 3 else shape,
            layers=_LAYERS.get(name, ()),
        )
        for name, (shape, _) in zoo_transformers.MODELS.items()
    ),
]
