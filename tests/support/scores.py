"""Artifacts of every kind of score, and autograd of the score's own definition."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.source.torch_layers import layer_of
from graftcam.exporter.verify.checks.autograd import verify_module
from graftcam.exporter.verify.runs.artifact import Artifact
from support.exports import Made

# float32 against float64 on networks of a few layers: rounding only, no kink is near.
TOLERANCE = {"rtol": 2e-4, "atol": 2e-6}
SIZE = (8, 12)
EXAMPLE = (torch.zeros(1, 3, *SIZE),)
ScoreFunction = Callable[[Any], torch.Tensor]


def made(source: Path, model: nn.Module, **options: Any) -> Made:
    """An artifact of the file ``source``, verified by finite differences."""
    path = source.with_name("artifact.onnx")
    return Made(model, path, export(source, path, **options).spec)


def verified(artifact: Made) -> None:
    """The artifact agrees with PyTorch autograd as the exporter calculates it."""
    opened = Artifact(artifact.path, artifact.spec)
    assert len(opened.outputs) == len(outputs_of_model(artifact.model))
    verify_module(opened, artifact.model, EXAMPLE).raise_on_failure()


def outputs_of_model(model: nn.Module) -> list[torch.Tensor]:
    return leaves(model(EXAMPLE[0].to(next(model.parameters()).dtype)))


def leaves(result: Any) -> list[torch.Tensor]:
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple) else [result]


def autograd(
    model: nn.Module, layer: str, x: np.ndarray, score: ScoreFunction, watch: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [N, K] and their gradients [N, K, *layer] in float64.

    ``score`` takes what the model returned, or what its layer ``watch`` gave.
    """
    module = copy.deepcopy(model).double()
    seen: dict[str, torch.Tensor] = {}

    def tap(_: nn.Module, __: Any, result: torch.Tensor) -> torch.Tensor:
        seen["leaf"] = result.detach().clone().requires_grad_(True)
        return seen["leaf"].clone()

    layer_of(module, layer).register_forward_hook(tap)
    if watch is not None:
        layer_of(module, watch).register_forward_hook(
            lambda *call: seen.update(watched=call[2].clone())
        )
    result = module(torch.from_numpy(x).double())
    scores = score(result if watch is None else seen["watched"])
    leaf = seen["leaf"]
    slopes = [
        torch.autograd.grad(scores[:, k].sum(), leaf, retain_graph=True)[0]
        for k in range(scores.shape[1])
    ]
    stacked = torch.stack(slopes, 1) if slopes else leaf.new_zeros(len(x), 0, *leaf.shape[1:])
    return scores.detach().numpy(), stacked.numpy()


def heatmap(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM of channel-first tensors."""
    weights = gradients.mean(tuple(range(3, gradients.ndim)))
    return np.maximum(np.einsum("nkc,nc...->nk...", weights, activations), 0)


def holds(found: dict[str, np.ndarray], scores: np.ndarray, slopes: np.ndarray) -> None:
    """Scores, gradients and heatmap are those of autograd."""
    np.testing.assert_allclose(found["scores"], scores, **TOLERANCE)
    assert found["gradients"].shape == slopes.shape
    # Relative to the largest: a gradient of probabilities can be small as a whole.
    unit = np.abs(slopes).max(initial=0) or 1.0
    np.testing.assert_allclose(found["gradients"] / unit, slopes / unit, **TOLERANCE)
    maps = heatmap(found["activations"].astype(np.float64), slopes)
    unit = np.abs(maps).max(initial=0) or 1.0
    np.testing.assert_allclose(found["heatmap"] / unit, maps / unit, **TOLERANCE)


def picked(table: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    return table.gather(1, torch.from_numpy(index))


def spoil(path: Path) -> None:
    """Make one layer's gradients a hundredth too large."""
    changed = onnx.load(path)
    output = next(o for o in changed.graph.output if o.name == "gradients.relu1")
    maker = next(n for n in changed.graph.node if output.name in n.output)
    maker.output[list(maker.output).index(output.name)] = "exact"
    factor = onnx.numpy_helper.from_array(np.float32(1.01), "factor")
    changed.graph.initializer.append(factor)
    changed.graph.node.append(onnx.helper.make_node("Mul", ["exact", "factor"], [output.name]))
    for node in changed.graph.node:
        if node.output[0] != output.name:
            node.input[:] = ["exact" if name == output.name else name for name in node.input]
    onnx.save(changed, path)
