"""A forward's arguments: dicts, lists, keywords, constants, and inputs that have no batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import CaptureError, Preprocess, TorchExport, candidates_of, export
from graftcam.exporter.source.named import load_source
from graftcam.exporter.source.nested import parts_of, with_part
from graftcam.exporter.source.torch_inputs import ModuleInputs, bound_inputs
from graftcam.exporter.source.torch_outputs import names_of
from support.nets import seeded
from support.sessions import open_session

IMAGE, TABLE = torch.rand(1, 3, 8, 8), torch.rand(1, 5)


class Point(NamedTuple):
    x: int
    y: list[int]


@dataclass(frozen=True)
class Record:
    low: int
    high: tuple[int, ...]


def test_parts_are_found_and_replaced_in_containers_of_every_kind() -> None:
    value = {"a": [1, Point(2, [3])], "b": Record(4, (5, 6))}
    parts = dict(parts_of(value))
    assert parts == {
        ("a", 0): 1, ("a", 1, "x"): 2, ("a", 1, "y", 0): 3,
        ("b", "low"): 4, ("b", "high", 0): 5, ("b", "high", 1): 6,
    }  # fmt: skip
    for path in parts:
        changed = with_part(value, path, 0)
        assert dict(parts_of(changed)) == {**parts, path: 0}
        assert type(changed["a"][1]) is Point
        assert type(changed["b"]) is Record
    assert dict(parts_of(value)) == parts
    assert list(parts_of(7)) == [((), 7)]


@dataclass(frozen=True)
class Holder:
    tensor: torch.Tensor


class Forward(nn.Module):
    """Takes an image, and what else its forward is asked for."""

    def forward(self, image: Any, table: Any = None, *, scale: float = 1.0) -> Any:
        return image, table, scale


class One(nn.Module):
    def forward(self, inputs: Any) -> Any:
        return inputs


class Keywords(nn.Module):
    def forward(self, **inputs: Any) -> Any:
        return inputs


BOUND: dict[str, tuple[nn.Module, Any, tuple[int, list[str]], list[str]]] = {
    "positions": (Forward(), (IMAGE, TABLE), (2, []), ["image", "table"]),
    "None": (Forward(), (IMAGE, None), (2, []), ["image"]),
    "keywords": (Forward(), {"image": IMAGE, "scale": 2.0}, (0, ["image", "scale"]), ["image"]),
    "both": (Forward(), ((IMAGE,), {"table": TABLE}), (1, ["table"]), ["image", "table"]),
    "a list and a dict": (Forward(), ([IMAGE], {"x": TABLE}), (2, []), ["image_0", "x"]),
    "a dict as the argument": (One(), ({"mr": IMAGE, "ct": IMAGE},), (1, []), ["mr", "ct"]),
    "the same, bare": (One(), {"mr": IMAGE, "ct": IMAGE}, (1, []), ["mr", "ct"]),
    "a list": (One(), ([IMAGE, IMAGE],), (1, []), ["inputs_0", "inputs_1"]),
    "any keywords": (Keywords(), {"image": IMAGE}, (0, ["image"]), ["image"]),
    "keys twice": (
        One(), ({"left": {"x": IMAGE}, "right": {"x": IMAGE}, "y": [TABLE]},), (1, []),
        ["inputs_left_x", "inputs_right_x", "y_0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("module", "given", "counts", "names"), BOUND.values(), ids=BOUND)
def test_examples_are_read_as_forwards_arguments(
    module: nn.Module, given: Any, counts: tuple[int, list[str]], names: list[str]
) -> None:
    inputs = bound_inputs(module, given)
    assert (len(inputs.args), list(inputs.kwargs)) == counts
    assert inputs.names(module) == names


def test_other_tensors_take_the_places_of_the_examples() -> None:
    given = ModuleInputs(({"a": [IMAGE, 3], "b": TABLE},), {"table": TABLE})
    fresh = [IMAGE + 1, TABLE + 2, TABLE + 3]
    changed = given.with_tensors(fresh)
    assert all(one is other for one, other in zip(changed.tensors, fresh, strict=True))
    assert changed.args[0]["a"][1] == 3
    assert given.tensors[0] is IMAGE


def test_the_batch_is_the_images() -> None:
    ids = torch.zeros(4, 7, dtype=torch.int64)
    inputs = ModuleInputs((ids, torch.rand(2, 3, 8, 8), torch.rand(2, 5), torch.tensor(1.0)))
    assert inputs.batch == 2
    assert [inputs.has_batch(x) for x in inputs.tensors] == [False, True, True, False]


class Nested(nn.Module):
    """One encoder for two images in a dict, a table of numbers, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3, stride=2)
        self.head = nn.Linear(8, 3)

    def forward(self, batch: Mapping[str, Any], *, scale: float) -> torch.Tensor:
        views: Sequence[torch.Tensor] = batch["views"]
        parts = [self.encoder(view).sigmoid().mean((2, 3)) for view in views]
        return self.head(torch.cat(parts, 1)) * scale + batch["age"]


def nested(rows: int = 1) -> tuple[Any, Any]:
    """Example inputs of `Nested`: one tensor given twice."""
    view = torch.rand(rows, 3, 8, 8)
    return ({"views": [view, view], "age": torch.rand(rows, 3)},), {"scale": 2.0}


@pytest.mark.parametrize("dynamic", [True, False])
def test_tensors_in_dicts_and_lists_are_inputs_of_the_graph(tmp_path: Path, dynamic: bool) -> None:
    model, path = seeded(Nested()), tmp_path / "m.onnx"
    layers = ["encoder#1", "encoder#2"] if dynamic else None
    report = export(
        model, path, nested(), layers=layers, trace=TorchExport(dynamic_batch=dynamic)
    )  # fmt: skip
    assert report.verification.verdict == "pass"
    assert [layer.name for layer in report.spec.layers] == (layers or ["encoder#2"])
    ports = open_session(path).get_inputs()
    rows = "batch" if dynamic else 1
    assert {one.name: one.shape for one in ports} == {
        "views_0": [rows, 3, 8, 8], "views_1": [rows, 3, 8, 8], "age": [rows, 3],
    }  # fmt: skip
    (given,), options = nested(3 if dynamic else 1)
    feeds = {
        "views_0": given["views"][0].numpy(), "views_1": given["views"][1].numpy(),
        "age": given["age"].numpy(),
    }  # fmt: skip
    output = report.spec.score.output
    (found,) = open_session(path).run([output], feeds)
    np.testing.assert_allclose(found, model(given, **options).detach().numpy(), rtol=1e-5)


class Matching(nn.Module):
    """Scores an image by its agreement with texts, which have no batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.words = nn.Embedding(20, 6)

    def forward(self, input_ids: torch.Tensor, pixel_values: torch.Tensor) -> dict[str, Any]:
        image = self.stem(pixel_values).tanh().mean((2, 3))
        return {"logits": image @ self.words(input_ids).mean(1).T}


def test_texts_that_all_images_share_keep_their_number(tmp_path: Path) -> None:
    ids = torch.randint(0, 20, (5, 7), generator=torch.Generator().manual_seed(0))
    examples, transform = {"input_ids": ids, "pixel_values": IMAGE}, Preprocess(size=(8, 8))
    report = export(
        seeded(Matching()), tmp_path / "m.onnx", examples, verify="full", preprocess=transform
    )  # fmt: skip
    assert report.spec.preprocess is not None
    assert report.spec.preprocess.input == "pixel_values"
    assert report.spec.layers[0].name == "stem"
    assert report.spec.score.classes == 5
    shapes = {one.name: one.shape for one in open_session(report.path).get_inputs()}
    assert shapes == {"input_ids": [5, 7], "pixel_values": ["batch", 3, 8, 8]}


def test_tensors_in_a_nested_result_have_names() -> None:
    x, y = torch.zeros(1), torch.ones(1)
    assert names_of({"logits": x, "text": {"logits": y}, "aux": [x + 1, None]}) == [
        "logits", "text.logits", "aux_0",
    ]  # fmt: skip
    assert names_of((x, y)) is None
    assert names_of({"a": x, "b": Holder(y)}) is None  # of which PyTorch sees no part


def test_each_tensor_needs_a_name(tmp_path: Path) -> None:
    trace = TorchExport(input_names=["a", "b"])
    with pytest.raises(CaptureError, match="2 input names for 3 tensors among the example inputs"):
        export(seeded(Nested()), tmp_path / "m.onnx", nested(), trace=trace, layers="encoder")


def two_inputs() -> nn.Module:
    return seeded(Matching())


def with_examples() -> tuple[nn.Module, dict[str, Any]]:
    return two_inputs(), {"pixel_values": IMAGE, "input_ids": torch.zeros(1, 7, dtype=torch.int64)}


def test_a_factory_may_bring_its_examples_and_shapes_may_name_inputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    here = Path(__file__).stem
    found = load_source(f"{here}:with_examples").inputs
    assert isinstance(found, dict)
    assert list(found) == ["pixel_values", "input_ids"]
    shapes = {"": (3, 8, 8), "table": (5,)}
    args, named = load_source(f"{here}:two_inputs", shape=shapes).inputs
    assert [one.shape for one in args] == [(1, 3, 8, 8)]
    assert named["table"].shape == (1, 5)
    with pytest.raises(CaptureError, match=r"--shape 3,\?,8 has an extent that is open or below 1"):
        load_source(f"{here}:two_inputs", shape={"": (3, None, 8)})
    with pytest.raises(CaptureError, match=r"input of .* is unknown; give --shape"):
        load_source(f"{here}:two_inputs")


def test_an_artifacts_shapes_stand_in_for_those_that_a_factory_does_not_bring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    here, recorded = Path(__file__).stem, {"": [3, 8, 8], "table": [5]}
    args, named = load_source(f"{here}:two_inputs", recorded=recorded).inputs
    assert (args[0].shape, named["table"].shape) == ((1, 3, 8, 8), (1, 5))
    given = {"": [3, 4, 4], "table": [5]}
    args, _ = load_source(f"{here}:two_inputs", None, given, recorded).inputs
    assert args[0].shape == (1, 3, 4, 4)
    own = load_source(f"{here}:with_examples", recorded={"pixel_values": [3, 9, 9]}).inputs
    assert isinstance(own, dict)
    assert own["input_ids"].dtype is torch.int64
    with pytest.raises(CaptureError, match=r"3,\?,\? has an extent that is open"):
        load_source(f"{here}:two_inputs", recorded={"": [3, None, None]})
    known = load_source("torchvision:squeezenet1_1", recorded={"": [3, None, None]}).inputs
    assert known[0].shape == (1, 3, 224, 224)


def test_layers_on_every_branch_are_on_the_batch() -> None:
    found = {one.name: one.usable for one in candidates_of(seeded(Nested()), nested())}
    assert found == {"encoder#1": True, "encoder#2": True, "head": False}


class Words(nn.Module):
    """Rows 0 and 1 of its table are alike, as padding and unknown words may be."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix, self.fc = nn.Embedding(9, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.fc(self.mix(self.table(ids)).tanh().mean(1))


def test_places_are_shown_on_the_example_ids(tmp_path: Path) -> None:
    model = seeded(Words())
    with torch.no_grad():
        model.table.weight[1] = model.table.weight[0]
    ids = torch.randint(2, 9, (1, 12), generator=torch.Generator().manual_seed(0))
    report = export(model, tmp_path / "m.onnx", (ids,), layers="mix")
    assert (report.spec.layers[0].layout, report.spec.layers[0].grid) == ("tokens", [12])
    assert report.notes == []
