"""What PyTorch gives for the attention of a small transformer, by formulas of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from support.small_vit import Attention, SmallVit


def keep_output(found: list[torch.Tensor], _module: Any, _inputs: Any, output: Any) -> None:
    """A hook that keeps what a module gives."""
    found.append(output)


class Reference:
    """Weights, gradients and maps of a model in float64, with formulas written anew."""

    def __init__(self, model: SmallVit, images: np.ndarray) -> None:
        self.model = model.double()
        self.images = torch.from_numpy(images).double()
        self.weights, self.tokens = list[torch.Tensor](), list[torch.Tensor]()
        hooks = [
            module.softmax.register_forward_hook(partial(keep_output, self.weights))
            for module in model.modules()
            if isinstance(module, Attention)
        ]
        hooks += [
            block.register_forward_hook(partial(keep_output, self.tokens)) for block in model.blocks
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
                hook = self.model.pool.softmax.register_forward_hook(partial(keep_output, seen))
                score = self.model.scores(tokens)
                hook.remove()
                (weights,) = seen
            total = total + self.slopes(weights, score, index).clamp(min=0).mean((1, 2))
        return self.grid(total / len(self.tokens))


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
