"""Layers by name: registered modules, modules in plain lists, modules with names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from graftcam.exporter import LayerError, candidates_of, export
from graftcam.exporter.source.torch_layers import layer_of, named_layers
from support.nets import seeded


class Named(nn.Conv2d):
    """A layer that knows what it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(3, 3, 3, padding=1)
        self.name = name


class Lists(nn.Module):
    """One registered layer; the others lie in a list and in a dict, where PyTorch sees none."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Named("first")
        self.blocks = [Named("inner"), nn.Sequential(Named("twin"), nn.ReLU())]
        self.heads = {"main": Named("twin"), "self": self.stem}
        self.linear = nn.Linear(3, 4)
        vars(self.blocks[1])["parent"] = self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        for block in self.blocks:
            y = block(y)
        return self.linear(self.heads["main"](y).mean((2, 3)))


def test_every_module_is_listed_once_by_path_or_by_its_own_name() -> None:
    assert list(named_layers(Lists())) == [
        "stem", "linear", "inner", "blocks.1", "heads.main", "blocks.1.0", "blocks.1.1",
    ]  # fmt: skip


def test_a_path_wins_and_an_own_name_will_do_if_it_is_the_only_one() -> None:
    model = Lists()
    assert layer_of(model, "stem") is layer_of(model, "first") is model.stem
    assert layer_of(model, "inner") is layer_of(model, "blocks.0") is model.blocks[0]
    with pytest.raises(LayerError, match="no layer is called 'twin'"):
        layer_of(model, "twin")
    with pytest.raises(LayerError, match="'iner'; did you mean inner"):
        layer_of(model, "iner")


def test_a_layer_in_a_plain_list_is_explained_and_verified(tmp_path: Path) -> None:
    model = Lists()
    for module in (model, *model.blocks, model.heads["main"]):
        seeded(module).requires_grad_(False)
    example = (torch.zeros(1, 3, 8, 6),)
    assert candidates_of(model, example)[0].name == "heads.main"
    report = export(model, tmp_path / "m.onnx", example, layers=["inner", "blocks.1.1", "first"])
    assert report.verification.reference == "autograd-float64"
