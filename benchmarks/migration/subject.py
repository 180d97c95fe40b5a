"""The one model and photograph of all comparisons: EfficientNet-Lite0 and a cat.

The network has its ImageNet weights, with ReLU in place of ReLU6, since guided rules exist for ReLU
alone. It is written as a sequence, so that any layer may be replaced, as pytorch-grad-cam's
AblationCAM does. Target layer is the first ReLU of block 11, [672, 14, 14]: so early that gradients
differ from place to place. Weights and photograph are in packages (`benchmarks.field.packages`).
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import EfficientNet_B0_Weights

from ..field import inputs
from ..field.inputs import PICTURES
from ..field.table import SUBJECTS
from .case import LAYER, Array
from .keras_twin import as_keras

LABELS = EfficientNet_B0_Weights.DEFAULT.meta["categories"]
_KEY = "efficientnet-lite0"
_OPENED = 11  # a block without a shortcut


@dataclass(frozen=True)
class Subject:
    """The trained model and the photograph.

    Attributes:
        model: In evaluation mode; copy it before anything is hooked into it.
        weights: Its weights by their names in the published network.
        pixels: The photograph as the model takes it, float32 [1, 3, 224, 224].
        packages: Where weights, code and photograph come from.
    """

    model: nn.Module
    weights: dict[str, Array]
    pixels: Array
    packages: list[str]

    @cached_property
    def scores(self) -> Array:
        """Logits of the photograph, [1000]."""
        with torch.inference_mode():
            return self.model(torch.from_numpy(self.pixels))[0].numpy()

    @property
    def classes(self) -> tuple[int, int]:
        """The best class and the second."""
        best, second = (-self.scores).argsort()[:2]
        return int(best), int(second)

    def copy(self) -> tuple[nn.Module, nn.Module]:
        """Return a copy of the model, and its target layer."""
        model = copy.deepcopy(self.model)
        return model, model.get_submodule(LAYER)

    def state(self) -> dict[str, Array]:
        """Return the weights as Keras lays them out, and the photograph as ``pixels``."""
        state = {name: as_keras(name, value) for name, value in self.weights.items()}
        return {**state, "pixels": self.pixels.transpose(0, 2, 3, 1)}

    def write_plain(self, path: Path) -> str:
        """Write the plain model as ONNX; return the name of the node that ends the target layer."""
        program: Any = torch.onnx.export(
            self.model, (torch.from_numpy(self.pixels),), dynamo=True, verbose=False,
            dynamic_shapes=[{0: torch.export.Dim("batch")}],
        )  # fmt: skip
        program.save(path)
        nodes = [
            node for node in program.model.graph
            if f"'{LAYER}'" in node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        ]  # fmt: skip
        return str(nodes[-1].name)


def load_subject(cache: Path) -> Subject:
    """Fetch the packages and load the model and the photograph."""
    found: Any = next(one for one in SUBJECTS if one.key == _KEY)
    for package in (found.package, *found.code, PICTURES):
        package.fetch(cache)
    inputs.use(cache)
    folders = [package.folder(cache) for package in (found.package, *found.code)]
    network, _ = found.build(folders[0] / found.file, folders)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    pins = [package.pin for package in (found.package, *found.code, PICTURES)]
    return Subject(_sequence(network), weights, found.feeds()["x"], pins)


def _sequence(network: Any) -> nn.Sequential:
    """Return the layers of the published network one after the other, with ReLUs."""
    layers: dict[str, nn.Module] = {
        "stem": network._conv_stem, "stem_norm": network._bn0, "stem_relu": nn.ReLU(),
    }  # fmt: skip
    for number, block in enumerate(network._blocks):
        name, block._swish = f"block{number}", nn.ReLU()
        if number == _OPENED:
            layers |= {
                f"{name}_expand": block._expand_conv, f"{name}_norm": block._bn0,
                f"{name}_relu": nn.ReLU(), f"{name}_depthwise": block._depthwise_conv,
                f"{name}_norm1": block._bn1, f"{name}_relu1": nn.ReLU(),
                f"{name}_project": block._project_conv, f"{name}_norm2": block._bn2,
            }  # fmt: skip
        else:
            layers[name] = block
    layers |= {
        "head": network._conv_head, "head_norm": network._bn1, "head_relu": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": network._fc,
    }  # fmt: skip
    return nn.Sequential(OrderedDict(layers)).eval()
