"""Layers by call and by part: ``encoder#1``, ``stages[0]``, ``backbone[feat]``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import LayerError, candidates_of, export
from graftcam.exporter.source.layer_taps import LayerTap, read_name
from support.nets import seeded
from support.sessions import open_session

EXAMPLE = (torch.rand(1, 3, 8, 8),)


class Stages(nn.Module):
    """Two maps, the second computed from the first, and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3, 3, 3))
        self.second = nn.Parameter(torch.ones(5, 4, 3, 3))

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        low = nn.functional.conv2d(x, self.weight).tanh()
        high = nn.functional.conv2d(low, self.second, None, 2).tanh()
        return {"maps": [low, high], "again": high, "pooled": high.mean((2, 3))}


class Only(nn.Module):
    """One map and a vector."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.sigmoid(), x.mean((2, 3))


class Net(nn.Module):
    """Layers that return several tensors, and one that is called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stages, self.only, self.act = Stages(), Only(), nn.Tanh()
        self.head = nn.Linear(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.stages(x)
        low, high = found["maps"]
        high = self.act(self.act(self.act(high))) + found["again"]
        kept, _ = self.only(low)
        return self.head(torch.cat([kept.mean((2, 3)), high.square().mean((2, 3))], 1))


def taken(name: str) -> torch.Tensor:
    """What a tap finds in `Net`."""
    model, found = seeded(Net()), list[torch.Tensor]()
    tap = LayerTap(model, name, found.append)
    model(*EXAMPLE)
    tap.check_called()
    return found[-1]


SHAPES = {
    "only": (1, 4, 6, 6), "only[0]": (1, 4, 6, 6), "only[1]": (1, 4), "stages[again]": (1, 5, 2, 2),
    "stages[maps][0]": (1, 4, 6, 6), 'stages["maps"][1]': (1, 5, 2, 2),
    "stages#1[again]": (1, 5, 2, 2), "stages[pooled]#1": (1, 5), "act#2": (1, 5, 2, 2),
    "act": (1, 5, 2, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_name_means_one_tensor_of_one_call(name: str) -> None:
    assert taken(name).shape == SHAPES[name]


def test_calls_are_counted_from_one_and_the_last_is_meant_without_a_number() -> None:
    calls = [taken(f"act#{number}") for number in (1, 2, 3)]
    assert not torch.equal(calls[0], calls[1])
    assert torch.equal(calls[2], taken("act"))


REFUSED = {
    "act#4": "layer 'act' is called 3 times; there is no call 'act#4'",
    "only#2": "layer 'only' is called once; there is no call 'only#2'",
    "act#0": "give one call after '#', counted from 1",
    "act#1#2": "give one call after '#', counted from 1",
    "akt#1": "no layer is called 'akt#1'; did you mean act",
    "stages": "returns a dict, not a tensor: [maps][0] float32 [1, 4, 6, 6], [maps][1] float32 "
    "[1, 5, 2, 2]; name one, such as 'stages[maps][1]'",
    "stages[maps]": "returns a dict, not a tensor: [maps][0] float32",
    "stages[7]": "returns a dict, which has no [7]: [maps][0] float32",
    "act[0]": "returns a Tensor, which has no [0]",
}


@pytest.mark.parametrize(("name", "message"), REFUSED.items(), ids=REFUSED)
def test_a_name_that_means_nothing_or_too_much_is_refused(name: str, message: str) -> None:
    with pytest.raises(LayerError, match=re.escape(message)):
        taken(name)


def test_a_layer_without_any_map_names_what_it_returns() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LSTM(192, 4))
    LayerTap(model, "1", lambda tensor: None)
    with pytest.raises(
        LayerError, match=r"without a tensor of three axes .*\(\[0\] float32 \[1, 4"
    ):
        model(*EXAMPLE)


def test_a_tensor_that_is_returned_twice_is_replaced_twice() -> None:
    model = nn.Sequential(seeded(Stages()))
    LayerTap(model, "0[again]", torch.zeros_like)
    found = model(*EXAMPLE)
    assert not found["again"].any()
    assert not found["maps"][1].any()
    assert found["maps"][0].any()


def test_the_layers_own_name_comes_before_its_parts() -> None:
    model = nn.Sequential(nn.ReLU())
    model[0].name = "relu#1[0]"  # pyright: ignore
    assert read_name(model, "relu#1[0]")[1].call is None


def test_parts_and_calls_are_listed() -> None:
    found = {one.name: one for one in candidates_of(seeded(Net()), EXAMPLE)}
    assert {"act#1", "act#2", "act#3", "stages[maps][0]", "stages[maps][1]", "only"} <= set(found)
    assert not {"stages", "act", "stages[pooled]", "only[0]"} & set(found)
    assert found["stages[maps][0]"].shape == (1, 4, 6, 6)


def test_a_part_has_its_whole_derivative_also_through_the_other_part(tmp_path: Path) -> None:
    layers = ["stages[maps][0]", "stages[maps][1]", "act#1", "only"]
    report = export(seeded(Net()), tmp_path / "m.onnx", EXAMPLE, layers=layers)
    assert report.verification.verdict == "pass"
    assert [layer.grid for layer in report.spec.layers] == [[6, 6], [2, 2], [2, 2], [6, 6]]


def test_an_unknown_call_is_refused_with_the_number_of_calls(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="'act' is called 3 times; there is no call 'act#4'"):
        export(seeded(Net()), tmp_path / "m.onnx", EXAMPLE, layers="act#4")
    assert list(tmp_path.iterdir()) == []


class Passed(nn.Module):
    """A map that goes to the head through a layer which changes nothing, and also past it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.conv, self.layer, self.down = nn.Conv2d(3, 4, 3), layer, nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.conv(x)
        through, past = self.layer(found).square(), self.down(found).sin()
        return self.head(torch.cat([through.mean((2, 3)), past.mean((2, 3))], 1))


@pytest.mark.parametrize("layer", [nn.Identity(), nn.Dropout(0.5)], ids=["identity", "dropout"])
def test_a_layer_that_changes_nothing_has_only_the_derivative_behind_it(
    layer: nn.Module, tmp_path: Path
) -> None:
    model = seeded(Passed(layer))
    report = export(model, tmp_path / "m.onnx", EXAMPLE, layers="layer")
    assert report.verification.verdict == "pass"
    assert not report.verification.errors["gradients"] > 1e-5
    session = open_session(tmp_path / "m.onnx")
    names = [one.name for one in session.get_outputs()]
    feeds = {session.get_inputs()[0].name: EXAMPLE[0].numpy(), "class_index": np.array([[1]])}
    given = dict(zip(names, session.run(None, feeds), strict=True))["gradients"][0, 0]
    with torch.no_grad():
        wanted = 2 * model.conv(EXAMPLE[0])[0] * model.head.weight[1, :4, None, None] / 36
    np.testing.assert_allclose(given, wanted.numpy(), rtol=1e-4, atol=1e-7)


def test_a_layer_that_works_in_place_keeps_all_that_reads_its_tensor() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    found = list[torch.Tensor]()
    tap = LayerTap(model, "1", found.append)
    given = list[torch.Tensor]()
    model[0].register_forward_hook(lambda _layer, _args, output: given.append(output))
    model(*EXAMPLE)
    assert found[0] is given[0]
    tap.remove()
    model(*EXAMPLE)
    assert len(found) == 1
