"""A small CaiT: talking heads between patches, then class attention; read by hooks."""

from __future__ import annotations

import torch
from torch import nn


class TalkingHeads(nn.Module):
    """Attention whose heads are mixed before and behind the softmax."""

    def __init__(self, width: int, heads: int, *, by_convolution: bool = False) -> None:
        super().__init__()
        self.heads, self.by_convolution = heads, by_convolution
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if by_convolution:
            self.before, self.behind = (nn.Conv2d(heads, heads, 1) for _ in range(2))
        else:
            self.before, self.behind = (nn.Linear(heads, heads) for _ in range(2))
        self.softmax = nn.Softmax(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        products = self._mixed(self.before, q * q.shape[3] ** -0.5 @ k.transpose(2, 3))
        mixed = self._mixed(self.behind, self.softmax(products))
        return self.out((mixed @ v).transpose(1, 2).flatten(2))

    def _mixed(self, mix: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if self.by_convolution:
            return mix(x)
        return mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PatchBlock(nn.Module):
    """Attention between patches, beside a residual connection."""

    def __init__(self, width: int, *, by_convolution: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attn = TalkingHeads(width, 2, by_convolution=by_convolution)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attn(self.norm(x))


class ClassBlock(nn.Module):
    """The class token looks at itself and at the patches; they stay as they are."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.softmax = nn.Softmax(-1)

    def forward(self, token: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        both = self.norm(torch.cat([token, x], 1))
        q, k, v = (
            one.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for one in (self.q(both[:, :1]), self.k(both), self.v(both))
        )
        self.parts = q, k, v
        self.result = self.softmax(q @ k.transpose(2, 3) * q.shape[3] ** -0.5) @ v
        return token + self.out(self.result.transpose(1, 2).flatten(2))


class SmallCait(nn.Module):
    """Images [N, 3, 24, 32], a grid of 3 x 4, five classes.

    Args:
        patch_blocks: Number of blocks between patches.
        by_convolution: Whether a convolution of one pixel mixes the heads.
        auxiliary: Whether the score also takes the patches, past the class token (VOLO).
    """

    def __init__(
        self, patch_blocks: int = 2, *, by_convolution: bool = False, auxiliary: bool = False
    ) -> None:
        super().__init__()
        width, self.auxiliary = 16, auxiliary
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.position = nn.Parameter(torch.randn(1, 12, width))
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.blocks = nn.ModuleList(
            PatchBlock(width, by_convolution=by_convolution) for _ in range(patch_blocks)
        )
        self.class_blocks = nn.ModuleList(ClassBlock(width) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        return self.scores(x)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """The scores of patches [N, 12, C]."""
        token = self.token.expand(len(x), -1, -1)
        for block in self.class_blocks:
            token = block(token, x)
        both = self.norm(torch.cat([token, x], 1))
        score = self.head(both[:, 0])
        return score + self.head(both[:, 1:]).amax(1) / 2 if self.auxiliary else score
