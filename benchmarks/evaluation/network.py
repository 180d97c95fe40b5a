"""`train` fits a small convolutional network to the shapes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..script import say
from .shapes import Shapes

_BATCH, _RATE = 64, 3e-3


class Network(nn.Module):
    """Four convolutions, of which three halve the size, an average pool and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, pool in ((3, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)):
            layers += [nn.Conv2d(before, after, 5 if before == 3 else 3, padding="same"),
                       nn.BatchNorm2d(after), nn.ReLU()]  # fmt: skip
            layers += [nn.MaxPool2d(2)] if pool == 2 else []
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [N, 2] of images [N, 3, 64, 64]."""
        return self.head(self.features(x).mean((2, 3)))


class Places(Network):
    """The same, but for a head that knows places: the shapes of some scenarios have one."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64 * 8 * 8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [N, 2] of images [N, 3, 64, 64]."""
        return self.head(self.features(x).flatten(1))


def inputs_of(images: NDArray[np.uint8]) -> torch.Tensor:
    """Return images as the network takes them, float32 [N, 3, 64, 64] around 0."""
    grey = torch.from_numpy(images.astype(np.float32) / 255 - 0.5) / 0.25
    return grey[:, None].expand(-1, 3, -1, -1)


def train(kind: type[Network], some: Shapes, epochs: int, seed: int = 0) -> Network:
    """Fit a network; the same numbers give the same network on one machine."""
    torch.manual_seed(seed)
    model = kind().train()
    optimiser = torch.optim.AdamW(model.parameters(), _RATE, weight_decay=1e-2)
    steps = epochs * (len(some.images) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    inputs, labels = inputs_of(some.images), torch.from_numpy(some.labels)
    for epoch in range(epochs):
        order, total = torch.randperm(len(inputs)), 0.0
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            part = order[start : start + _BATCH]
            loss = nn.functional.cross_entropy(model(inputs[part]), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if epoch % 4 == 3:
            say(f"  epoch {epoch + 1}: loss {total / (len(order) // _BATCH):.4f}")
    return model.eval()


def accuracy(model: Network, some: Shapes) -> float:
    """Return the share of images whose class is right."""
    with torch.inference_mode():
        found = model(inputs_of(some.images)).argmax(1).numpy()
    return float((found == some.labels).mean())
