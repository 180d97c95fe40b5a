"""Class attention and talking heads (CaiT): tensors and maps equal those of PyTorch's autograd."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftcam import Explainer, export
from graftcam.exporter.errors import LayerError
from graftcam.runtime.errors import InputError
from support.attention import difference, keep_output
from support.small_cait import SmallCait

CLASSES = [1, 3]
METHODS = ("rollout", "gradient-rollout", "legrad", "grad-eclip")
Tensors = list[torch.Tensor]


def _grid(row: torch.Tensor) -> torch.Tensor:
    return row.reshape(-1, 3, 4)


class Reference:
    """A model in float64, with formulas of the class token and the patches as one state."""

    def __init__(self, model: SmallCait, images: np.ndarray) -> None:
        self.model, self.images = model.double(), torch.from_numpy(images).double()
        self.tokens = Tensors()
        hooks = [
            one.register_forward_hook(partial(keep_output, self.tokens)) for one in model.blocks
        ]
        self.scores, self.weights = self.seen(lambda: self.model(self.images))
        for hook in hooks:
            hook.remove()
        last: Any = model.class_blocks[-1]
        self.parts, self.result = last.parts, last.result

    def seen(self, run: Any) -> tuple[torch.Tensor, Tensors]:
        """What a function returns, and the softmaxes that it computes."""
        found = Tensors()
        hooks = [
            module.register_forward_hook(partial(keep_output, found))
            for module in self.model.modules()
            if isinstance(module, torch.nn.Softmax)
        ]
        result = run()
        for hook in hooks:
            hook.remove()
        return result, found

    def slopes(self, index: int) -> Tensors:
        return list(
            torch.autograd.grad(self.scores[:, index].sum(), self.weights, retain_graph=True)
        )

    def matrices(self, each: Tensors) -> Tensors:
        """What each block does to class token and patches, [N, 13, 13], beside the identity."""
        found = Tensors()
        for one in each:
            whole = torch.zeros(len(one), 13, 13, dtype=torch.float64)
            if one.shape[1] == 1:
                whole[:, :1] = one
            else:
                whole[:, 1:, 1:] = one
            found.append(whole)
        return found

    def rollout(self, index: int) -> torch.Tensor:
        whole = torch.eye(13).double()
        for one in self.matrices([weights.mean(1) for weights in self.weights]):
            mixed = one + torch.eye(13).double()  # of a token that does not look, the identity
            whole = mixed / mixed.sum(-1, keepdim=True) @ whole
        return _grid(whole[:, 0, 1:])

    def gradient_rollout(self, index: int) -> torch.Tensor:
        whole = torch.eye(13).double()
        raised = [
            (one * slope).clamp(min=0).mean(1)
            for one, slope in zip(self.weights, self.slopes(index), strict=True)
        ]
        for one in self.matrices(raised):
            whole = whole + one @ whole
        return _grid(whole[:, 0, 1:])

    def legrad(self, index: int) -> torch.Tensor:
        total: Any = 0
        for tokens in self.tokens:
            scores, seen = self.seen(partial(self.model.scores, tokens))
            slopes = torch.autograd.grad(scores[:, index].sum(), seen, retain_graph=True)
            total = total + torch.cat(list(slopes), 1).clamp(min=0).mean((1, 2))[:, 1:]
        return _grid(total / len(self.tokens))

    def grad_eclip(self, index: int) -> torch.Tensor:
        query, keys, values = (one.transpose(1, 2).flatten(2) for one in self.parts)
        (slope,) = torch.autograd.grad(self.scores[:, index].sum(), self.result, retain_graph=True)
        likeness = torch.cosine_similarity(query, keys[:, 1:], dim=2)
        low, high = likeness.amin(1, keepdim=True), likeness.amax(1, keepdim=True)
        effect = (slope.transpose(1, 2).flatten(2) * values[:, 1:]).sum(2).clamp(min=0)
        return _grid(effect * (likeness - low) / (high - low))


@pytest.fixture(scope="module", params=[False, True], ids=["linear", "convolution"])
def case(request: Any, tmp_path_factory: Any) -> tuple[Path, Reference]:
    """An artifact with all tensors and maps, verified, and what PyTorch gives for two images."""
    torch.manual_seed(0)
    model = SmallCait(by_convolution=request.param).eval()
    path = tmp_path_factory.mktemp("class") / "model.onnx"
    example = (torch.randn(2, 3, 24, 32),)
    report = export(model, path, example, layers="attention", extras=METHODS)
    assert max(report.verification.errors.values()) < 1e-5
    images = np.random.default_rng(0).standard_normal((2, 3, 24, 32)).astype(np.float32)
    return path, Reference(model, images)


def test_tensors_are_those_of_autograd(case: tuple[Path, Reference]) -> None:
    path, truth = case
    explainer = Explainer(path)
    attention = explainer.spec.attention
    assert attention is not None
    assert [block.role for block in attention.blocks] == ["chain", "chain", "class", "class"]
    got = explainer.run(truth.images.numpy().astype(np.float32), [CLASSES])
    slopes = [truth.slopes(index) for index in CLASSES]
    for number, block in enumerate(attention.blocks):
        assert difference(got[block.weights or ""], truth.weights[number].detach().numpy()) < 1e-5
        wanted = np.stack([one[number].numpy() for one in slopes], axis=1)
        assert difference(got[block.gradients or ""], wanted) < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_maps_in_the_graph_and_of_the_tensors(case: tuple[Path, Reference], method: str) -> None:
    path, truth = case
    images, explainer = truth.images.numpy().astype(np.float32), Explainer(path)
    got = explainer.run(images, [CLASSES])[f"heatmap.{method}"]
    for place, index in enumerate(CLASSES):
        wanted = getattr(truth, method.replace("-", "_"))(index).detach().numpy()
        assert difference(got[:, place], wanted) < 1e-5
    assert explainer.run(images, np.zeros((1, 0), np.int64))[f"heatmap.{method}"].size == 0


@pytest.fixture(scope="module")
def tensors_only(case: tuple[Path, Reference], tmp_path_factory: Any) -> Explainer:
    """The same model's artifact without maps of its own."""
    path = tmp_path_factory.mktemp("tensors") / "model.onnx"
    model = case[1].model.float()
    export(model, path, (torch.zeros(2, 3, 24, 32),), layers="attention", verify="off")
    model.double()
    return Explainer(path)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "legrad"])
def test_the_runtime_makes_the_maps(
    case: tuple[Path, Reference], tensors_only: Explainer, method: str
) -> None:
    images = case[1].images.numpy().astype(np.float32)
    found = tensors_only.explain(images, classes=CLASSES, method=method)
    for place, index in enumerate(CLASSES):
        wanted = getattr(case[1], method.replace("-", "_"))(index).detach().numpy()
        for row, one in enumerate(found):
            assert difference(one.maps[place], wanted[row]) < 1e-5


def test_raw_attention_and_options_of_rollout(
    case: tuple[Path, Reference], tensors_only: Explainer
) -> None:
    truth = case[1]
    images = truth.images.numpy().astype(np.float32)
    (first, _) = tensors_only.explain(images, method="attention")
    wanted = _grid(truth.weights[-1].mean(1)[:, 0, 1:]).detach().numpy()
    assert difference(first.maps[0], wanted[0]) < 1e-5
    (first, _) = tensors_only.explain(images, method="attention", options={"block": 0})
    wanted = _grid(truth.weights[0].mean((1, 2))).detach().numpy()
    assert difference(first.maps[0], wanted[0]) < 1e-5
    (first, _) = tensors_only.explain(images, method="rollout", options={"fusion": "max"})
    whole = torch.eye(13).double()
    for one in truth.matrices([weights.amax(1) for weights in truth.weights]):
        mixed = one + torch.eye(13).double()
        whole = mixed / mixed.sum(-1, keepdim=True) @ whole
    assert difference(first.maps[0], _grid(whole[:, 0, 1:])[0].detach().numpy()) < 1e-5


def test_a_score_that_also_takes_the_patches_reads_no_class_token(tmp_path: Path) -> None:
    """VOLO's second head goes past class attention, which then is no more than other tokens'."""
    torch.manual_seed(0)
    model, example = SmallCait(auxiliary=True).eval(), (torch.randn(2, 3, 24, 32),)
    path = tmp_path / "model.onnx"
    report = export(model, path, example, layers="attention", extras="legrad")
    assert report.spec.attention is not None
    roles = [block.role for block in report.spec.attention.blocks]
    assert roles == ["chain", "chain", "apart", "apart"]
    with pytest.raises(InputError, match="through all blocks"):
        Explainer(path).explain(example[0].numpy(), method="rollout")
    with pytest.raises(LayerError, match="through all blocks"):
        export(model, path, example, extras="rollout")
