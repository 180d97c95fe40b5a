"""The demo's network is a residual CNN of 0.18 million parameters with one logit per digit class.

Only convolutions precede the pool, so the last feature map has the layout of the image:
12x12 cells of 8 pixels. Global average pooling and one linear layer follow. In this case Grad-CAM
equals the original CAM (Zhou et al., 2016) up to a constant factor and the ReLU.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from .data import LABELS


class Residual(nn.Module):
    """Two convolutions and a shortcut, ReLU after the sum (He et al., 2016).

    float [N, inputs, H, W] in, float [N, outputs, H / stride, W / stride] out; stride 1 or 2.

    Layers that halve the size have an even kernel, so that a cell is in the middle of the pixels
    that it reads. A 3x3 kernel at stride 2 is centred half a pixel up and left of that; after three
    such layers the heatmap over the image would be shifted by 3.5 pixels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 2 + stride, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(y + self.shortcut(x))


class DigitNet(nn.Module):
    """Finds which digits a canvas shows.

    float [N, 3, 96, 96] in, RGB normalised with ``data.MEAN`` and ``data.STD``; float [N, 10]
    logits out, one independent yes or no per class (sigmoid, not softmax).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        # The receptive field is 62 pixels: a whole digit with its surroundings, but seldom two, so
        # that evidence for a class lies on its digit.
        self.layer1 = Residual(16, 24, stride=2)
        self.layer2 = Residual(24, 40, stride=1)
        self.layer3 = Residual(40, 96, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(96, len(LABELS))
        # A canvas shows 2.5 of the 10 classes on average; this bias saves the first epoch.
        nn.init.constant_(self.head.bias, math.log(0.25 / 0.75))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        y = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.head(self.flatten(self.pool(y)))


def build() -> DigitNet:
    """Make the network with random weights; the trained ones are in ``digits.pt`` beside it."""
    return DigitNet()
