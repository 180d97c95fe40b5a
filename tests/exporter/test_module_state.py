"""Modules as they come: they keep state between calls, wrap others, or have no weights yet."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm

from graftcam.exporter import CaptureError, Score, candidates_of, export
from graftcam.exporter.source.own_copy import own_copy
from graftcam.exporter.source.torch_module import module_of
from support.nets import seeded

IMAGE = torch.rand(1, 3, 8, 8)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 3),
    )  # fmt: skip


class Remembers(nn.Module):
    """Keeps the coordinates of the last size, as detectors do, and what a hook hands it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.size: torch.Size | None = None
        self.rows: torch.Tensor | None = None
        self.seen: list[torch.Tensor] = []
        self.body[1].register_forward_hook(self.keep)

    def keep(self, _layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        self.seen = [output]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.size != x.shape[2:]:
            self.size = x.shape[2:]
            self.rows = torch.linspace(0, 1, x.shape[2], device=x.device)[:, None]
        return self.body(x + self.rows)


def state_of(module: nn.Module) -> list[Any]:
    """What a run could change: attributes, modes, hooks, which tensors there are, and gradients."""
    return [
        (
            layer.training, len(layer._forward_hooks), len(layer._forward_pre_hooks),
            [(name, id(one), one.requires_grad) for name, one in layer.named_parameters()],
            [(name, id(value)) for name, value in vars(layer).items() if name[0] != "_"
             and not isinstance(value, bool)],
        )
        for layer in module.modules()
    ]  # fmt: skip


@pytest.mark.parametrize("warm", [False, True])
def test_a_module_that_keeps_state_is_exported_and_stays_as_it_was(
    tmp_path: Path, warm: bool
) -> None:
    model = nn.DataParallel(seeded(Remembers())).train()
    if warm:
        model.module(torch.rand(2, 3, 5, 5))  # tensors of another size, with gradients
    before = state_of(model)
    report = export(model, tmp_path / "m.onnx", (IMAGE,))
    assert report.verification.verdict == "pass"
    assert report.spec.layers[0].name == "body.1"
    assert report.notes == ["the model is in training mode; its evaluation mode is exported"]
    assert state_of(model) == before


def with_hooks(of: str) -> nn.Module:
    model = small()
    makers = {
        "weight_norm": lambda: weight_norm(model[0]),
        "parametrised": lambda: parametrizations.spectral_norm(model[0]),
        "pruned": lambda: prune.l1_unstructured(model[0], "weight", 0.5),
    }
    makers[of]()
    return model.eval()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("of", ["weight_norm", "parametrised", "pruned"])
def test_reparametrised_weights_are_copied(of: str) -> None:
    model = with_hooks(of)
    result = model(IMAGE)
    copied = own_copy(model)
    assert torch.equal(copied(IMAGE), result)
    assert not any(one.requires_grad for one in copied.parameters())
    assert all(one.requires_grad for one in model.parameters())


def test_a_copy_shares_weights_and_no_state() -> None:
    model = Remembers()
    copied = own_copy(model)
    assert copied.body[0].weight.data_ptr() == model.body[0].weight.data_ptr()
    copied(IMAGE)
    assert (model.rows, model.seen) == (None, [])
    wide = own_copy(model, torch.float64)
    assert wide.body[0].weight.dtype == torch.float64
    assert model.body[0].weight.dtype == torch.float32


def test_what_cannot_be_copied_is_said() -> None:
    model = small()
    model.lock = threading.Lock()
    with pytest.raises(CaptureError, match=r"cannot be copied \(cannot pickle '_thread.lock'"):
        own_copy(model)


def test_wrappers_are_taken_off() -> None:
    model = small()
    for wrapped in (
        nn.DataParallel(model),
        torch.compile(model),
        torch.compile(nn.DataParallel(model)),
    ):
        assert module_of(wrapped, (IMAGE,))[0] is model


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(small().eval(), {nn.Linear}, torch.qint8)


REFUSED: dict[str, tuple[Any, str]] = {
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), r"'0' \(LazyConv2d\) has no weights yet"),
    "meta": (lambda: small().to("meta"), r"'0' \(Conv2d\) is on the meta device"),
    "quantised": (quantised, r"'4' \(Linear\) is quantised by torch.ao"),
    "weights": (lambda: small().state_dict(), "OrderedDict; it holds weights, not the model"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_module_without_usable_weights_says_why(make: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        module_of(make(), (IMAGE,))


class Boxes(nn.Module):
    """Four coordinates of one branch before three classes of another, at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.classes, self.boxes = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        classes = self.classes(x)
        return torch.cat([self.boxes(x), classes], 1).flatten(2)


def test_the_layer_is_chosen_for_the_classes_and_not_for_the_boxes(tmp_path: Path) -> None:
    model = seeded(Boxes())
    assert candidates_of(model, (IMAGE,))[0].name == "boxes"
    report = export(model, tmp_path / "m.onnx", (IMAGE,), score=Score(class_offset=4))
    assert report.spec.layers[0].name == "stem"
