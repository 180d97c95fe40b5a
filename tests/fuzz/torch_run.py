"""Run a module's text, and its layer's gradient by PyTorch itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

LAYER = "layer"


def loaded(text: str) -> tuple[nn.Module, torch.Tensor]:
    """The module of a text, and its example input."""
    names: dict[str, Any] = {"__name__": "program"}
    exec(compile(text, "program.py", "exec"), names)
    return names["model"], names["x"]


def gradients(
    model: nn.Module,
    x: torch.Tensor,
    chosen: Callable[[torch.Tensor], torch.Tensor] = lambda y: y,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [N, K], the layer's value [N, *layer] and the gradients [N, K, *layer].

    The layer's first call counts. ``chosen`` are scores of what the model returns.
    """
    kept: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output if output.requires_grad else output.requires_grad_())
        return output.clone()  # a later step in place must not change it

    with_layer = model.get_submodule(LAYER).register_forward_hook(keep)
    try:
        scores = chosen(model(x.clone()))
        rows = [
            torch.autograd.grad(scores[:, k].sum(), kept[0], retain_graph=True)[0]
            for k in range(scores.shape[1])
        ]
    finally:
        with_layer.remove()
    return scores.detach(), kept[0].detach(), torch.stack(rows, dim=1)


def scores_with(model: nn.Module, x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Scores [N, K] if the layer had another value."""
    with_layer = model.get_submodule(LAYER).register_forward_hook(lambda *_: value.clone())
    try:
        with torch.no_grad():
            return model(x.clone())
    finally:
        with_layer.remove()


def in_double(model: nn.Module) -> nn.Module:
    """A copy in float64 of the model that float32 runs.

    An RMSNorm without an epsilon takes that of its type.
    """
    made = copy.deepcopy(model).double()
    for module in made.modules():
        if isinstance(module, nn.RMSNorm) and module.eps is None:
            module.eps = torch.finfo(torch.float32).eps
    return made
