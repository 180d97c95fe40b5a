"""What is timed: one model with its target layer, in every way of running it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchvision import models

from graftcam.exporter import export

from .contract import export_plain
from .truth import open_session, pictures

SHAPE = (3, 224, 224)
_CLASS = 7  # any; the work is the same
Run = Callable[[], Any]


@dataclass(frozen=True)
class Subject:
    """A model and the layer that is explained.

    Attributes:
        model: Its name in torchvision.
        layer: Module path; None for the automatic choice, the last layer.
    """

    model: str
    layer: str | None = None


SUBJECTS = [
    Subject("resnet50"),
    Subject("resnet50", "layer3"),
    Subject("mobilenet_v3_large"),
    Subject("efficientnet_b0"),
    Subject("vgg16"),
]


@dataclass(frozen=True)
class Prepared:
    """A subject, exported both ways.

    Attributes:
        module: The PyTorch model.
        layer: Module path of the explained layer.
        plain: The file that `torch.onnx.export` writes.
        artifact: The file that graftcam writes.
        fetched: What a caller fetches: the model's outputs, classes, scores and the heatmap.
        class_index: Name of the input.
    """

    module: nn.Module
    layer: str
    plain: Path
    artifact: Path
    fetched: list[str]
    class_index: str


def prepare(subject: Subject, folder: Path) -> Prepared:
    """Export ``subject`` into ``folder``."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = models.get_model(subject.model, weights=None).eval()
    plain, artifact = folder / "plain.onnx", folder / "artifact.onnx"
    export_plain(module, SHAPE, plain)
    # Verified by the tests and the zoo; here the time counts.
    example = (pictures(SHAPE, 1, 0),)
    spec = export(module, artifact, example, layers=subject.layer, verify=False).spec
    layer = spec.layers[0]
    names = [output.name for output in open_session(artifact).get_outputs()]
    fetched = [name for name in names if name not in (layer.activations, layer.gradients)]
    return Prepared(module, layer.name, plain, artifact, fetched, spec.class_index)


def runs_of(prepared: Prepared, images: int, threads: int) -> dict[str, Run]:
    """Every way of running the model on the same pictures, by name."""
    batch = pictures(SHAPE, images, 0)
    pixels = batch.numpy()
    plain, artifact = (open_session(p, threads) for p in (prepared.plain, prepared.artifact))
    name = plain.get_inputs()[0].name
    # A copy: pytorch-grad-cam leaves hooks in the model.
    other = copy.deepcopy(prepared.module)
    cam = GradCAM(model=other, target_layers=[other.get_submodule(prepared.layer)])

    def explained(classes: int) -> Run:
        index = np.arange(_CLASS, _CLASS + classes, dtype=np.int64)[None]
        feeds = {artifact.get_inputs()[0].name: pixels, prepared.class_index: index}
        return lambda: artifact.run(prepared.fetched, feeds)

    def torch_forward() -> None:
        with torch.inference_mode():
            prepared.module(batch)

    return {
        "plain": lambda: plain.run(None, {name: pixels}),
        "explained": explained(1),
        "predict": explained(0),
        "five": explained(5),
        "torch": torch_forward,
        "peer": lambda: cam(batch, [ClassifierOutputTarget(_CLASS)] * images),
    }
