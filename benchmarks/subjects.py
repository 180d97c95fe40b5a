"""`Subjects` makes the measured files: torchvision's models and the artifacts of their layers."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn
from torchvision import models

from graftcam.exporter import TorchExport, export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.graph.profiles import ProfileName
from graftcam.runtime.spec import METADATA_KEY, Preprocess, Spec

from .condition import condition
from .contract import Axes, export_plain
from .session import open_session
from .truth import Array, random_images

SHAPE = (3, 224, 224)
# All with a layer that the automatic choice finds; the heads differ.
MODELS = (
    "resnet50", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny", "densenet121", "vgg16",
    "vit_b_16", "swin_t",
)  # fmt: skip
INNER = (
    ("resnet50", "layer3"),
    ("resnet50", "layer2"),
    ("resnet50", "layer1"),
    ("efficientnet_b0", "features.3"),
    ("vit_b_16", "encoder.layers.encoder_layer_6"),
)
# Inner layers by kind of network; each kind has a target of its own.
FLOOR = {
    "convolutions": (
        ("resnet34", "layer2"), ("resnet50", "layer2"), ("resnet50", "layer3"),
        ("wide_resnet50_2", "layer3"),
    ),
    "light": (
        ("mobilenet_v2", "features.10"), ("mnasnet1_0", "layers.10"),
        ("regnet_x_800mf", "trunk_output.block2"), ("efficientnet_b0", "features.4"),
        ("shufflenet_v2_x1_0", "stage3"), ("timm:ghostnet_100", "blocks.4"),
    ),
    "dense and tokens": (
        ("densenet121", "features.denseblock3"), ("vit_b_16", "encoder.layers.encoder_layer_6"),
        ("swin_t", "features.3"), ("convnext_tiny", "features.5"),
    ),
}  # fmt: skip
INPUT = "x"  # of all artifacts
_LINEAR = {"Gemm", "MatMul"}
_POOLS = {"ReduceMean", "GlobalAveragePool"}
_SHAPES = {"Flatten", "Reshape", "Squeeze", "Transpose", "Add", "Shape", "Gather", "Concat", "Cast"}
_TRIED = 20  # classes, of which the one with the strongest map is explained


@dataclass(frozen=True)
class Artifact:
    """A file that graftcam wrote.

    Attributes:
        path: The file.
        spec: Its metadata.
        fetched: What a caller fetches: the model's outputs, classes, scores and the heatmap.
    """

    path: Path
    spec: Spec
    fetched: list[str]

    @property
    def layer(self) -> str:
        """Module path of the explained layer."""
        return self.spec.layers[0].name

    def feeds(self, pixels: Array, classes: Sequence[int]) -> dict[str, Array]:
        """Inputs that ask for ``classes`` of every image."""
        return {INPUT: pixels, self.spec.class_index: np.array([classes], np.int64)}


@lru_cache(maxsize=1)
def module(model: str) -> nn.Module:
    """The PyTorch model, with random weights under which every branch carries signal.

    A name is torchvision's, or timm's as ``timm:NAME``.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, timm, name = model.rpartition("timm:")
        if timm:
            return condition(import_module("timm").create_model(name, pretrained=False), SHAPE)
        return condition(models.get_model(model, weights=None), SHAPE)


class Subjects:
    """The models' files, each made once."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Store files in ``folder``; existing files are used."""
        self._folder, self.threads = folder, threads
        folder.mkdir(parents=True, exist_ok=True)

    def plain(self, model: str, axes: Axes = "batch") -> Path:
        """The file that `torch.onnx.export` writes."""
        path = self.file(model, f"plain.{axes}.onnx")
        if not path.exists():
            export_plain(module(model), SHAPE, path.with_suffix(".tmp"), axes)
            path.with_suffix(".tmp").rename(path)
        return path

    def artifact(
        self,
        model: str,
        layer: str | None = None,
        axes: Axes = "batch",
        profile: ProfileName = "default",
        extra: str = "",
    ) -> Artifact:
        """The file that graftcam writes, unverified: the tests and the zoo hold it true."""
        variant = axes if profile == "default" else f"{axes}.{profile}"
        variant = f"{variant}.{extra}" if extra else variant
        path = self.file(model, f"{layer or 'auto'}.{variant}.onnx")
        if not path.exists():
            write_artifact(module(model), path, layer, axes, profile, extra=extra)
        session = open_session(path)
        spec = Spec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
        names = [output.name for output in session.get_outputs()]
        unread = (spec.layers[0].activations, spec.layers[0].gradients)
        return Artifact(path, spec, [name for name in names if name not in unread])

    def stripped(self, model: str, layer: str) -> Path:
        """The plain model inside the artifact of a layer, which needs no export of its own."""
        artifact = self.artifact(model, layer)
        path = artifact.path.with_suffix(".stripped")
        if not path.exists():
            write_plain(artifact.path, path)
        return path

    def part(self, model: str, layer: str | None, axes: Axes = "batch") -> Path:
        """The model from the layer's value to the score, cut out of the artifact.

        Raises:
            ValueError: There is a way past the layer.
        """
        artifact = self.artifact(model, layer, axes)
        path = artifact.path.with_suffix(".part")
        if not path.exists():
            part = cut(artifact)
            own = {port.name for port in part.graph.input} - {artifact.spec.layers[0].value}
            past = {n.op_type for n in part.graph.node if own & set(n.input)} - {"Shape"}
            if past:
                raise ValueError(f"{model}: {sorted(past)} read the input past {layer}")
            onnx.save(part, path)
        return path

    def shown_class(self, artifact: Artifact) -> int:
        """A class whose map shows something, so that maps can be compared."""
        session = open_session(artifact.path, self.threads)
        feeds = artifact.feeds(random_images(SHAPE, 1, 0).numpy(), range(_TRIED))
        (heatmap,) = session.run([artifact.spec.layers[0].heatmap], feeds)
        return int(heatmap.mean(axis=(0, 2, 3)).argmax())

    def file(self, model: str, name: str) -> Path:
        """A place in the model's folder."""
        folder = self._folder / _folder_name(model)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def drop(self, model: str) -> None:
        """Delete a model's files."""
        shutil.rmtree(self._folder / _folder_name(model), ignore_errors=True)


def _folder_name(model: str) -> str:
    """The model's name without what Windows takes in no name."""
    return model.replace(":", "-")


def write_artifact(
    model: nn.Module, path: Path, layer: str | None = None, axes: Axes = "batch",
    profile: ProfileName = "default", *, verify: Any = "off", extra: str = "",
) -> None:  # fmt: skip
    """What graftcam makes of the model."""
    transform = Preprocess(
        INPUT, list(SHAPE[1:]), [256], "shorter", "bilinear", 1 / 255,
        [0.485, 0.456, 0.406], [0.229, 0.224, 0.225],
    )  # fmt: skip
    export(
        model, path, (random_images(SHAPE, 1, 0),), layers=layer, verify=verify,
        preprocess=transform, profile=profile, extras=extra or (),
        trace=TorchExport(
            dynamic_batch=axes != "none", dynamic_size=axes == "size", input_names=[INPUT]
        ),
    )  # fmt: skip


def cut(artifact: Artifact) -> onnx.ModelProto:
    """The graph between the layer's value and the score.

    If the graph reads the input's shape, the model's own input remains an input, too.
    """
    model, spec = onnx.load(artifact.path), artifact.spec
    names = [port.name for port in model.graph.input if port.name != spec.class_index]
    names.insert(0, spec.layers[0].value)
    part = onnx.utils.Extractor(model).extract_model(names, [spec.score.value])
    read = {name for node in part.graph.node for name in node.input}
    for port in [port for port in part.graph.input if port.name not in read]:
        part.graph.input.remove(port)
    return part


def linear_head(artifact: Artifact) -> bool:
    """Whether one average pool and one linear layer are all between the layer and the score."""
    operators = [node.op_type for node in cut(artifact).graph.node]
    pooled = set(operators) - _SHAPES <= _LINEAR | _POOLS
    return pooled and sum(name in _LINEAR for name in operators) == 1
