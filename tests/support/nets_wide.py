"""Small models of the large families: together they use most operators that exports contain."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class Mobile(nn.Module):
    """Grouped, depthwise, strided, dilated and pointwise convolutions with a squeeze-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8)
        self.grouped = nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4)
        self.squeeze = nn.Conv2d(12, 4, 1)
        self.excite = nn.Conv2d(4, 12, 1)
        self.strided = nn.Conv2d(12, 6, 3, stride=2)
        self.point = nn.Conv2d(8, 6, 1, stride=4)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.hardswish(self.norm(self.stem(x)))
        y = F.silu(self.grouped(F.relu6(self.wide(x))))
        gate = F.hardsigmoid(self.excite(F.leaky_relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        y = F.elu(self.strided(y * gate))
        return self.head((y + self.point(x)[:, :, : y.shape[2], : y.shape[3]]).mean((2, 3)))


class Inception(nn.Module):
    """Pools of all kinds beside each other, some with windows that stick out, and no global one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.maximum = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.mean = nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False)
        self.counted = nn.AvgPool2d((3, 2), 2, padding=1, ceil_mode=True)
        self.tiles = nn.MaxPool2d(2, padding=1, ceil_mode=True)
        self.rest = nn.AvgPool2d(2)
        self.adaptive = nn.AdaptiveAvgPool2d((3, 1))
        self.norm = nn.LocalResponseNorm(3)
        self.head = nn.Linear(4 * 6 * 3, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(F.softplus(self.stem(x)))
        pooled = [self.maximum(x), self.mean(x), self.counted(x), self.tiles(x)]
        y = torch.cat(pooled, dim=1)
        return self.head(self.adaptive(self.rest(torch.tanh(y))).flatten(1))


class Transformer(nn.Module):
    """A vision transformer: position embedding, two heads, GELU, a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.cls = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.zeros(1, 7, 8))
        self.norm1 = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)
        self.norm2 = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.norm3 = nn.LayerNorm(8)
        self.head = nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.out(y)
        x = x + self.mlp(self.norm2(x))
        return self.head(self.norm3(x)[:, 0])


class Windows(nn.Module):
    """A Swin stage: shifted windows with a mask and a position bias, then merged patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 2, stride=2)
        self.norm = nn.LayerNorm(6)
        self.qkv = nn.Linear(6, 18)
        self.bias = nn.Parameter(torch.zeros(9, 2))
        self.merge = nn.Linear(24, 8)
        self.merged = nn.LayerNorm(24)
        self.head = nn.Linear(8, 4)
        cell = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij"))
        apart = cell.flatten(1)[:, :, None] - cell.flatten(1)[:, None] + 1
        self.index: torch.Tensor
        self.mask: torch.Tensor
        self.register_buffer("index", apart[0] * 3 + apart[1])
        self.register_buffer("mask", torch.zeros(4, 4, 4))
        self.mask[3, :2, 2:] = -100.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).permute(0, 2, 3, 1)
        y = torch.roll(self.norm(x), (-1, -1), (1, 2))
        y = y.unflatten(1, (2, 2)).unflatten(3, (2, 2)).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 6)
        q, k, v = self.qkv(y).unflatten(2, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        bias = self.bias[self.index].permute(2, 0, 1)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) + bias
        scores = scores.unflatten(0, (-1, 4)) + self.mask[:, None]
        y = (scores.flatten(0, 1).softmax(-1) @ v).transpose(1, 2).reshape(-1, 2, 2, 2, 2, 6)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 4, 6)
        x = x + torch.roll(y, (1, 1), (1, 2))
        x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], dim=-1)
        return self.head(self.merge(self.merged(x)).mean((1, 2)))


class Pyramid(nn.Module):
    """Maps of several sizes, resized to each other: nearest, linear, shuffled, deconvolved."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.coarse = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.instance = nn.InstanceNorm2d(4, affine=True)
        self.lateral = nn.Conv2d(4, 4, 1)
        self.up = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.slope = nn.PReLU(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.slope(self.norm(self.fine(x)))
        coarse = self.instance(self.coarse(fine))
        total = self.lateral(fine) + F.interpolate(coarse, scale_factor=2.0)
        total = total + F.interpolate(coarse, size=fine.shape[2:], mode="bilinear")
        total = total + self.up(coarse) * self.shuffle(coarse)
        total = F.pad(total, (1, 0, 0, 2))
        return self.head(torch.maximum(total.amax((2, 3)), total.mean((2, 3)).square().sqrt()))
