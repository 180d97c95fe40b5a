"""What tests of heads and of the methods that rerun them share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.runtime.methods.dispatch import check_method, run_method
from graftcam.runtime.methods.method_io import MethodInput, MethodOutput
from graftcam.runtime.session.heads import Heads
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Layer, Spec
from support.nets import seeded


class Skip(nn.Module):
    """A residual block: the score can be reached past each layer inside it."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.conv1 = nn.Conv2d(6, 8, 3, padding=1)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.stem(x))
        return self.head(torch.relu(y + self.conv2(self.act(self.conv1(y)))).mean((2, 3)))


def export_with_head(
    model: nn.Module,
    path: Path,
    layer: str | list[str],
    size: tuple[int, int] = (8, 8),
    **more: Any,
) -> Spec:
    example = (torch.zeros(2, 3, *size),)
    options = {"verify": "off", "extras": ["head"], **more}
    return export(model, path, example, layers=layer, **options).spec


_FOLDER = TemporaryDirectory(prefix="graftcam-tests-")


@cache
def with_head(kind: Callable[[], nn.Module], layer: str, size: tuple[int, int] = (8, 8)) -> Path:
    """The artifact of a model, its head beside it, exported once a process; not to be changed."""
    path = Path(mkdtemp(dir=_FOLDER.name)) / "m.onnx"
    export_with_head(seeded(kind()), path, layer, size)
    return path


@cache
def _opened(path: Path) -> tuple[Session, Heads]:
    session = Session(path)
    return session, Heads(path, session.spec, Session)


def method_output(
    path: Path, x: np.ndarray, classes: list[list[int]], method: str, *, fed: Any = None,
    progress: Any = None, **options: Any,
) -> MethodOutput:  # fmt: skip
    """Run a method on tensors; `Explainer` takes images only."""
    session, heads = _opened(path)
    feeds = {"x": x, session.spec.class_index: np.array(classes, np.int64), **(fed or {})}
    batch = MethodInput(session, feeds, "x", session.spec.layers[0], progress, heads)
    return run_method(batch, check_method(method, options), options)


def in_model(activations: torch.Tensor, original: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Channel-first activations as the layer itself gives them."""
    if layer.layout == "channels_last":
        return activations.permute(0, 2, 3, 1)
    if layer.layout == "tokens":
        placed = activations.flatten(2).transpose(1, 2)
        return torch.cat([original[:, : layer.prefix_tokens], placed], dim=1)
    return activations


def torch_head(
    model: nn.Module, layer: Layer, x: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The model with a layer's output replaced by other activations, for the images ``x``."""

    def head(activations: torch.Tensor) -> torch.Tensor:
        def replaced(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
            return in_model(activations, output, layer)

        handle = model.get_submodule(layer.name).register_forward_hook(replaced)
        try:
            times = len(activations) // len(x)
            return model(x.repeat(times, 1, 1, 1))
        finally:
            handle.remove()

    return head
