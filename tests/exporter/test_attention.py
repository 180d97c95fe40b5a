"""Attention as a target: tensors and maps equal what PyTorch's autograd gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graftcam import Explainer, export
from graftcam.exporter.artifact.publish_attention import AttentionWanted
from graftcam.exporter.errors import LayerError
from graftcam.exporter.release import verify_artifact
from graftcam.runtime.errors import InputError, SpecError
from graftcam.runtime.methods.dispatch import run_method
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import METADATA_KEY, Spec
from support.multiply import multiply
from support.small_vit import Attention, Gated, Reading, SmallVit

CLASSES = [1, 3]
# How the score reads the tokens, registers, and whether a gate mixes the weights with others.
CASES: list[tuple[Reading, int, bool]] = [
    ("class", 0, False), ("class", 2, False), ("mean", 0, False), ("pool", 0, False),
    ("distilled", 1, False), ("class", 0, True),
]  # fmt: skip
METHODS = ("rollout", "gradient-rollout", "legrad")


def _keep(found: list[torch.Tensor], _module: Any, _inputs: Any, output: Any) -> None:
    """A hook that keeps what a module gives."""
    found.append(output)


class Reference:
    """Weights, gradients and maps of a model in float64, with formulas written anew."""

    def __init__(self, model: SmallVit, images: np.ndarray) -> None:
        self.model = model.double()
        self.images = torch.from_numpy(images).double()
        self.weights, self.tokens = list[torch.Tensor](), list[torch.Tensor]()
        hooks = [
            module.softmax.register_forward_hook(partial(_keep, self.weights))
            for module in model.modules()
            if isinstance(module, Attention)
        ]
        hooks += [
            block.register_forward_hook(partial(_keep, self.tokens)) for block in model.blocks
        ]
        self.scores = self.model(self.images)
        for hook in hooks:
            hook.remove()

    def slopes(self, of: torch.Tensor, score: torch.Tensor, index: int) -> torch.Tensor:
        (found,) = torch.autograd.grad(score[:, index].sum(), of, retain_graph=True)
        return found

    def gradients(self, index: int) -> list[torch.Tensor]:
        return [self.slopes(one, self.scores, index) for one in self.weights]

    @property
    def grid(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda row: row[:, self.model.prefix :].reshape(-1, 3, 4)

    def start(self) -> torch.Tensor:
        """How the score reads tokens, [N, 1, T]."""
        count = self.model.prefix + 12
        row = torch.zeros(len(self.images), 1, count, dtype=torch.float64)
        chosen = {"class": [0], "distilled": [0, 1]}.get(
            self.model.reading, list(range(self.model.prefix, count))
        )
        row[:, :, chosen] = 1 / len(chosen)
        return row

    def chain(self) -> list[torch.Tensor]:
        return self.weights[: len(self.model.blocks)]

    def grad_eclip(self, index: int) -> torch.Tensor:
        """From the last block's own query, keys, values and result, the heads side by side."""
        attention = self.model.blocks[-1].attn
        query, keys, values = (one.transpose(1, 2).flatten(2) for one in attention.parts)
        slope = self.slopes(attention.result, self.scores, index).transpose(1, 2).flatten(2)
        rest = slice(self.model.prefix, None)
        likeness = torch.cosine_similarity(query[:, :1], keys[:, rest], dim=2)
        low, high = likeness.amin(1, keepdim=True), likeness.amax(1, keepdim=True)
        effect = (slope[:, :1] * values[:, rest]).sum(2).clamp(min=0)
        return (effect * (likeness - low) / (high - low)).reshape(-1, 3, 4)

    def attention(self, index: int) -> torch.Tensor:
        if self.model.pool is not None:
            return self.grid(self.weights[-1].mean(1)[:, 0])
        return self.grid((self.start() @ self.weights[-1].mean(1))[:, 0])

    def rollout(self, index: int) -> torch.Tensor:
        whole = torch.eye(self.model.prefix + 12).double()
        for one in self.chain():
            mixed = one.mean(1) + torch.eye(one.shape[-1]).double()
            whole = mixed / mixed.sum(-1, keepdim=True) @ whole
        start = self.start() if self.model.pool is None else self.weights[-1].mean(1)
        return self.grid((start @ whole)[:, 0])

    def gradient_rollout(self, index: int) -> torch.Tensor:
        whole, slopes = torch.eye(self.model.prefix + 12).double(), self.gradients(index)
        for one, slope in zip(self.chain(), slopes, strict=False):
            whole = whole + (one * slope).clamp(min=0).mean(1) @ whole
        start = self.start()
        if self.model.pool is not None:
            start = (self.weights[-1] * slopes[-1]).clamp(min=0).mean(1)
        return self.grid((start @ whole)[:, 0])

    def legrad(self, index: int) -> torch.Tensor:
        total: Any = 0
        for tokens, weights in zip(self.tokens, self.chain(), strict=True):
            if self.model.pool is None:
                score = self.model.scores(tokens.mean(1, keepdim=True).expand_as(tokens))
            else:
                seen = list[torch.Tensor]()
                hook = self.model.pool.softmax.register_forward_hook(partial(_keep, seen))
                score = self.model.scores(tokens)
                hook.remove()
                (weights,) = seen
            total = total + self.slopes(weights, score, index).clamp(min=0).mean((1, 2))
        return self.grid(total / len(self.tokens))


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


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


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


def test_a_model_without_attention_is_refused_for_that_reason(tmp_path: Path) -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )  # fmt: skip
    with pytest.raises(LayerError, match="the model has no attention"):
        export(model.eval(), tmp_path / "a.onnx", (torch.zeros(1, 3, 8, 8),), extras="rollout")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    "name",
    ["attention.blocks.0.attn", "attention_gradients.blocks.0.attn", "attention_keys",
     "attention_result_gradients", "heatmap.rollout"],
)  # fmt: skip
def test_a_file_that_lacks_an_output_of_its_record_is_refused_at_loading(
    name: str, with_all: Path, tmp_path: Path
) -> None:
    model = ir.load(with_all)
    model.graph.outputs[:] = [value for value in model.graph.outputs if value.name != name]
    ir.save(model, tmp_path / "lacking.onnx")
    with pytest.raises(SpecError, match=rf"the graph lacks \['{re.escape(name)}'\]"):
        Explainer(tmp_path / "lacking.onnx")


def test_a_record_of_another_grid_is_refused_at_loading(with_all: Path, tmp_path: Path) -> None:
    model = ir.load(with_all)
    spec = Spec.from_json(model.metadata_props[METADATA_KEY])
    assert spec.attention is not None
    other = replace(spec, attention=replace(spec.attention, grid=[12]))
    model.metadata_props[METADATA_KEY] = other.to_json()
    ir.save(model, tmp_path / "flat.onnx")
    with pytest.raises(SpecError, match=r"'heatmap\.rollout' has 4 axes, and the metadata need 3"):
        Explainer(tmp_path / "flat.onnx")


def test_a_method_that_follows_all_blocks_is_refused_where_some_stand_apart(
    with_all: Path, tmp_path: Path
) -> None:
    """At run time by the record, and at the export by what was found."""
    model = ir.load(with_all)
    spec = Spec.from_json(model.metadata_props[METADATA_KEY])
    assert spec.attention is not None
    first, *others = spec.attention.blocks
    blocks = [replace(first, role="apart", tokens=None), *others]
    other = replace(spec, attention=replace(spec.attention, blocks=blocks))
    model.metadata_props[METADATA_KEY] = other.to_json()
    ir.save(model, tmp_path / "apart.onnx")
    said = "'gradient-rollout' follows the tokens through all blocks, but attention 'blocks.0.attn'"
    image = np.zeros((1, 3, 24, 32), np.float32)
    with pytest.raises(InputError, match=rf"{said} is of windows, .* \(1 of 2 are\); use 'attent"):
        Explainer(tmp_path / "apart.onnx").explain(image, method="gradient-rollout")
    found: Any = SimpleNamespace(
        apart=["blocks.0.attn"], blocks=[None, None], doubt=None, chain=object()
    )
    with pytest.raises(LayerError, match=rf"{said} .*; use 'legrad' or a layer's method"):
        AttentionWanted(found, ["legrad", "gradient-rollout"], tensors=False).check()
    AttentionWanted(found, ["legrad"], tensors=False).check()


@pytest.fixture(scope="module")
def with_all(tmp_path_factory: Any) -> Path:
    """An artifact with all tensors and a map, not verified."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("all") / "model.onnx"
    images = (torch.zeros(2, 3, 24, 32),)
    export(SmallVit(blocks=2).eval(), path, images, layers="attention", extras="rollout",
           verify="off")  # fmt: skip
    return path


@pytest.fixture(scope="module")
def maps_only(tmp_path_factory: Any) -> Path:
    """An artifact that makes all maps itself and gives no large tensors, verified."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("maps") / "model.onnx"
    extras = [*METHODS, "grad-eclip"]
    report = export(SmallVit(blocks=2).eval(), path, (torch.zeros(2, 3, 24, 32),), extras=extras)
    errors = report.verification.errors
    assert {"attention_gradients", "legrad", *(f"heatmap.{one}" for one in extras)} <= {*errors}
    assert max(errors.values()) < 1e-4
    return path


def test_maps_alone_leave_the_weights_in_the_graph(maps_only: Path) -> None:
    explainer = Explainer(maps_only)
    assert explainer.spec.attention is not None
    assert not any(block.weights for block in explainer.spec.attention.blocks)
    image = np.zeros((1, 3, 24, 32), np.float32)
    (found,) = explainer.explain(image, method="rollout")
    assert found.maps.shape == (1, 3, 4)
    with pytest.raises(InputError, match="for others export it with --layer attention"):
        explainer.explain(image, method="rollout", options={"fusion": "max"})
    with pytest.raises(InputError, match=r"the artifact has the maps of .* only"):
        explainer.explain(image, method="attention")
    layer = explainer.spec.layers[0].name
    with pytest.raises(InputError, match="follows attention through the model, not a layer"):
        explainer.explain(image, method="rollout", layer=layer)


@pytest.mark.parametrize(
    ("part", "fails"),
    [
        ("attention_gradients.blocks.0.attn", "gradients"),
        ("legrad.blocks.0.attn", "legrad"),
        ("heatmap.rollout", "heatmap.rollout"),
        ("heatmap.grad-eclip", "heatmap.grad-eclip"),
    ],
)
def test_the_verification_finds_what_is_wrong(
    maps_only: Path, tmp_path: Path, part: str, fails: str
) -> None:
    path = tmp_path / "model.onnx"
    multiply(maps_only, path, part, 1.1)
    _, verdict = verify_artifact(path, everything=True)
    assert fails in " ".join(f"{one.check} {one.subject}" for one in verdict.failures)


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
