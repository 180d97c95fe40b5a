"""Attention as a target: tensors and maps equal what PyTorch's autograd gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftcam import Explainer, export
from graftcam.runtime.errors import InputError
from graftcam.runtime.methods.dispatch import run_method
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from support.attention import Reference, difference
from support.small_vit import Gated, Reading, SmallVit

CLASSES = [1, 3]
# How the score reads the tokens, registers, and whether a gate mixes the weights with others.
CASES: list[tuple[Reading, int, bool]] = [
    ("class", 0, False), ("class", 2, False), ("mean", 0, False), ("pool", 0, False),
    ("distilled", 1, False), ("class", 0, True),
]  # fmt: skip
METHODS = ("rollout", "gradient-rollout", "legrad")


@pytest.fixture(scope="module", params=CASES, ids=lambda one: "-".join(map(str, one)))
def case(request: Any, tmp_path_factory: Any) -> tuple[Path, Reference]:
    """An artifact with all tensors and maps, and what PyTorch gives for two images."""
    reading, registers, gated = request.param
    torch.manual_seed(0)
    model = SmallVit(reading, registers).eval()
    for block in model.blocks if gated else ():
        block.attn.softmax = Gated(2, 1 + 12)
    path = tmp_path_factory.mktemp("attention") / "model.onnx"
    export(
        model, path, (torch.zeros(2, 3, 24, 32),), layers="attention", extras=METHODS, verify="off"
    )
    images = np.random.default_rng(0).standard_normal((2, 3, 24, 32)).astype(np.float32)
    return path, Reference(model, images)


def test_tensors_are_those_of_autograd(case: tuple[Path, Reference]) -> None:
    path, truth = case
    explainer = Explainer(path)
    attention = explainer.spec.attention
    assert attention is not None
    assert len(attention.blocks) == len(truth.weights)
    got = explainer.run(truth.images.numpy().astype(np.float32), [CLASSES])
    slopes = [truth.gradients(index) for index in CLASSES]
    for number, block in enumerate(attention.blocks):
        assert block.weights
        assert block.gradients
        assert difference(got[block.weights], truth.weights[number].detach().numpy()) < 1e-5
        wanted = np.stack([one[number].numpy() for one in slopes], axis=1)
        assert got[block.gradients].shape == wanted.shape
        assert difference(got[block.gradients], wanted) < 1e-5


def test_the_tokens_that_the_score_reads(case: tuple[Path, Reference]) -> None:
    path, truth = case
    attention = Explainer(path).spec.attention
    assert attention is not None
    assert attention.prefix_tokens == truth.model.prefix
    assert attention.grid == [3, 4]
    tokens = {"class": [0], "distilled": [0, 1]}.get(truth.model.reading, [])
    assert attention.class_tokens == tokens
    assert (attention.pool is not None) == (truth.model.reading == "pool")


@pytest.mark.parametrize("method", METHODS)
def test_maps_in_the_graph_are_those_of_the_formula(
    case: tuple[Path, Reference], method: str
) -> None:
    path, truth = case
    images = truth.images.numpy().astype(np.float32)
    got = Explainer(path).run(images, [CLASSES])[f"heatmap.{method}"]
    for place, index in enumerate(CLASSES):
        wanted = getattr(truth, method.replace("-", "_"))(index).detach().numpy()
        assert difference(got[:, place], wanted) < 1e-5


def test_grad_eclip_of_the_tensors(case: tuple[Path, Reference]) -> None:
    path, truth = case
    images = truth.images.numpy().astype(np.float32)
    explainer = Explainer(path)
    if truth.model.reading not in ("class", "distilled"):
        with pytest.raises(InputError, match="starts at a class token, and the model has none"):
            explainer.explain(images, method="grad-eclip")
        return
    found = explainer.explain(images, classes=CLASSES, method="grad-eclip")
    for place, index in enumerate(CLASSES):
        wanted = truth.grad_eclip(index).detach().numpy()
        for row, one in enumerate(found):
            assert difference(one.maps[place], wanted[row]) < 1e-5


def test_a_prediction_alone_makes_no_maps(case: tuple[Path, Reference]) -> None:
    path, truth = case
    nothing = np.zeros((1, 0), np.int64)
    got = Explainer(path).run(truth.images.numpy().astype(np.float32), nothing)
    assert {got[f"heatmap.{method}"].shape for method in METHODS} == {(2, 0, 3, 4)}


def test_raw_attention_of_the_last_block_and_of_a_head(case: tuple[Path, Reference]) -> None:
    path, truth = case
    images = truth.images.numpy().astype(np.float32)
    found = Explainer(path).explain(images, classes=CLASSES, method="attention")
    wanted = truth.attention(0).detach().numpy()
    for row, one in enumerate(found):
        assert one.maps.shape == (2, 3, 4)
        assert difference(one.maps[1], wanted[row]) < 1e-5
    options = {"block": 0, "head": 1}
    (first, _) = Explainer(path).explain(images, method="attention", options=options)
    read = truth.start() @ truth.weights[0][:, 1]
    assert difference(first.maps[0], truth.grid(read[:, 0])[0].detach().numpy()) < 1e-5


def test_the_runtime_makes_the_same_maps_of_the_tensors(case: tuple[Path, Reference]) -> None:
    path, truth = case
    session = Session(path)
    attention = session.spec.attention
    assert attention is not None
    bare = replace(session.spec, attention=replace(attention, methods=None))
    feeds = {"x": truth.images.numpy().astype(np.float32), "class_index": np.array([CLASSES])}
    finished = session.run(feeds)
    session.spec = bare
    for method in METHODS[:2]:
        batch = MethodInput(session, feeds, "x", bare.layers[0])
        made = run_method(batch, method, {}).maps
        np.testing.assert_allclose(made, finished[f"heatmap.{method}"], rtol=1e-4, atol=1e-7)


def test_an_attention_operator_is_opened(tmp_path: Path) -> None:
    class Fused(torch.nn.Module):
        """Attention of grouped heads with a mask, by PyTorch's own function."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = torch.nn.Conv2d(3, 16, 8, 8)
            self.inner = torch.nn.Linear(16, 32)
            self.head = torch.nn.Linear(16, 5)
            self.mask = torch.nn.Buffer(torch.randn(12, 12))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            q, k, v = self.inner(x).split([16, 8, 8], 2)
            q, k, v = (one.unflatten(2, (-1, 4)).transpose(1, 2) for one in (q, k, v))
            y = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, self.mask, enable_gqa=True
            )
            return self.head((x + y.transpose(1, 2).flatten(2)).mean(1))

    torch.manual_seed(0)
    model, found = Fused().eval(), list[tuple[np.ndarray, np.ndarray]]()
    for opset in (18, 23):
        path = tmp_path / f"{opset}.onnx"
        export(model, path, (torch.zeros(2, 3, 24, 32),), layers="attention", opset=opset)
        images = np.random.default_rng(0).standard_normal((2, 3, 24, 32)).astype(np.float32)
        explainer = Explainer(path)
        assert explainer.spec.attention is not None
        (block,) = explainer.spec.attention.blocks
        got = explainer.run(images, [CLASSES])
        found.append((got[block.weights or ""], got[block.gradients or ""]))
    plain, opened = found
    assert plain[0].shape == (2, 4, 12, 12)
    for one, other in zip(plain, opened, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


def test_scores_with_positions_and_a_pool_of_pytorchs_own_are_proven(tmp_path: Path) -> None:
    """The sum over all positions is explained; a projection's bias is no sum of branches."""

    class Dense(SmallVit):
        def scores(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(x)).transpose(1, 2).unflatten(2, (3, 4))

    class Pooled(SmallVit):
        def __init__(self) -> None:
            super().__init__("mean", blocks=2)
            self.probe = torch.nn.Parameter(torch.randn(1, 1, 16))
            self.collect = torch.nn.MultiheadAttention(16, 2, batch_first=True)

        def scores(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(x)
            return self.head(self.collect(self.probe.expand(len(x), -1, -1), x, x)[0][:, 0])

    torch.manual_seed(0)
    for model in (Dense("mean", blocks=2), Pooled()):
        path = tmp_path / f"{type(model).__name__}.onnx"
        example = (torch.randn(2, 3, 24, 32),)
        report = export(model.eval(), path, example, layers="attention", extras=["legrad"])
        attention = report.spec.attention
        assert attention is not None
        assert report.verification.errors["legrad"] < 1e-5
        assert [block.role for block in attention.blocks][:2] == ["chain", "chain"]
        assert (attention.pool is not None) == isinstance(model, Pooled)
