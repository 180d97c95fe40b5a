"""These functions compute scores of a model's output, and gradients, with PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch.nn.functional import logsigmoid

from ....runtime.spec import Layer, ScoreRecord
from ...graph.precision import FLOAT16_SCALE
from .torch_similarity import similarities

Array = npt.NDArray[Any]


def selected_class_scores(
    table: torch.Tensor, score: ScoreRecord, selected: Array, region: Array | None
) -> torch.Tensor:
    """The scores, [N, K]: sums of class scores over the region, or weighted sums of the output."""
    if score.kind == "similarity":
        return similarities(table, torch.tensor(selected, dtype=table.dtype), score)
    if score.kind == "linear":
        weights = torch.tensor(selected, dtype=table.dtype)
        return (table.unsqueeze(1) * weights).flatten(2).sum(2)
    # Probabilities or their logarithms, of logits with the classes along axis 1.
    if score.kind == "probability":
        table = table.softmax(1) if score.activation == "softmax" else table.sigmoid()
    elif score.kind == "log_probability":
        table = table.log_softmax(1) if score.activation == "softmax" else logsigmoid(table)
    weights = None if region is None else torch.tensor(region, dtype=table.dtype)
    if score.kind == "channel":
        weights = table.new_ones(1, 1, *table.shape[2:]) if weights is None else weights
        weights = weights / weights.abs().sum((*range(2, weights.dim()),), keepdim=True)
    flat = table.flatten(2) if table.dim() > 2 else table.unsqueeze(2)
    index = torch.from_numpy(selected).unsqueeze(2)
    picked = flat.gather(1, index.expand(-1, -1, flat.shape[2]))
    return (picked if weights is None else picked * weights.flatten(2)).sum(2)


def gradients_of(scores: torch.Tensor, of: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients of the scores [N, K] with respect to tensors [N, ...]: [N, K, ...] each."""
    if not scores.shape[1]:
        return [single(one).new_zeros((one.shape[0], 0, *one.shape[1:])) for one in of]
    found: list[torch.Tensor] = []
    # Powers of two change no digit; as in the artifact they prevent float16 from underflowing, and
    # smaller ones from overflowing.
    for scale in (FLOAT16_SCALE, 1.0, 1 / FLOAT16_SCALE):
        seed = torch.full_like(scores[:, 0], scale)
        rows = [torch.autograd.grad(row, of, seed, retain_graph=True) for row in scores.unbind(1)]
        stacked = (torch.stack([*slopes], dim=1) for slopes in zip(*rows, strict=True))
        found = [single(slopes) / scale for slopes in stacked]
        if all(slopes.isfinite().all() for slopes in found):
            break
    return found


def single(tensor: torch.Tensor) -> torch.Tensor:
    """16-bit floats as float32, the artifact's type for all that it adds."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def channel_first(tensor: torch.Tensor, layer: Layer, lead: int) -> torch.Tensor:
    """Bring a layer's output to ``[..., C, *space]``; ``lead`` axes come before C."""
    if layer.layout == "channels_last":
        return tensor.movedim(-1, lead)
    if layer.layout == "tokens":
        grid = [side or -1 for side in layer.grid]
        places = tensor.shape[lead] - layer.prefix_tokens - (layer.suffix_tokens or 0)
        tokens = tensor.narrow(lead, layer.prefix_tokens, places)
        return tokens.transpose(lead, lead + 1).unflatten(-1, grid)
    if layer.layout == "instances":
        return tensor.unflatten(0, (-1, layer.grid[0] or -1)).movedim(1, lead + 1)
    return tensor
