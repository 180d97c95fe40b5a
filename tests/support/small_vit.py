"""A small vision transformer whose attention can be read by hooks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Reading = Literal["class", "mean", "pool", "distilled"]


class Attention(nn.Module):
    """Multi-head attention written out; ``softmax`` is a module, so that hooks see the weights."""

    def __init__(self, width: int, heads: int, queries: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.randn(1, queries, width)) if queries else None
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.softmax = nn.Softmax(-1)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        start = x if self.probe is None else self.probe.expand(len(x), -1, -1)
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.q(start), self.k(x), self.v(x))
        )
        weights = self.softmax(q @ k.transpose(2, 3) / q.shape[3] ** 0.5)
        self.parts = q, k, v
        self.result = weights @ v
        return self.out(self.result.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    """Weights mixed with others, of positions, by a gate for each head (ConViT, 2103.10697)."""

    def __init__(self, heads: int, tokens: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, heads, tokens, tokens))
        self.gate = nn.Parameter(torch.randn(1, heads, 1, 1))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        share = self.gate.sigmoid()
        places = self.places.expand(len(scores), -1, -1, -1).softmax(-1)
        mixed = (1 - share) * scores.softmax(-1) + share * places
        return mixed / mixed.sum(-1, keepdim=True)


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SmallVit(nn.Module):
    """A vision transformer of images [N, 3, 24, 32], with a grid of 3 x 4 and 5 classes.

    Args:
        reading: What the score is read off: a class token, two of them, the mean of the patches, or
            a pool by attention.
        registers: Tokens between the class token and the patches.
    """

    def __init__(self, reading: Reading = "class", registers: int = 0, blocks: int = 3) -> None:
        super().__init__()
        width = 16
        self.reading = reading
        self.prefix = {"class": 1, "distilled": 2}.get(reading, 0) + registers
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.tokens = nn.Parameter(torch.randn(1, self.prefix, width))
        self.position = nn.Parameter(torch.randn(1, self.prefix + 12, width))
        self.blocks = nn.ModuleList(Block(width, 2) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.pool = Attention(width, 2, queries=1) if reading == "pool" else None
        self.head = nn.Linear(width, 5)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.tokens.expand(len(x), -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.scores(x)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """The scores of tokens [N, T, C] behind a block."""
        x = self.norm(x)
        if self.pool is not None:
            return self.head(self.pool(x)[:, 0])
        if self.reading == "class":
            return self.head(x[:, 0])
        if self.reading == "distilled":
            return (self.head(x[:, 0]) + self.head(x[:, 1])) / 2
        return self.head(x[:, self.prefix :].mean(1))
