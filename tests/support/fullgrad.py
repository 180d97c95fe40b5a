"""FullGrad by hooks at every bias of a PyTorch model, and the models to compare it on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SPACES = {1: (13,), 2: (9, 7), 3: (6, 5, 4)}
CONVS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
CURVED = (nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh)


class Product(nn.Module):
    """Two values that both depend on the image."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y


class Net(nn.Module):
    """Two stages of different resolution with a shortcut, a norm, a bias and an activation."""

    def __init__(self, act: type[nn.Module] = nn.ReLU, axes: int = 2, *, gated: bool = False):
        super().__init__()
        conv, norm = CONVS[axes], NORMS[axes]
        self.stem, self.norm = conv(3, 6, 3, padding=1, bias=False), norm(6)
        self.act, self.act2, self.act3 = act(), act(), act()
        self.down = conv(6, 8, 3, stride=2, padding=1)
        self.inner = conv(8, 8, 3, padding=1)
        self.squeeze = conv(8, 8, 1) if gated else None
        self.gate, self.product = nn.Sigmoid(), Product()
        self.axes = tuple(range(2, 2 + axes))
        self.head = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act2(self.down(self.act(self.norm(self.stem(x)))))
        x = x + self.act3(self.inner(x))
        if self.squeeze is not None:
            gate = self.gate(self.squeeze(x.mean(self.axes, keepdim=True)))
            x = self.product(x, gate)
        return self.head(x.mean(self.axes))


def terms(model: nn.Module, x: np.ndarray, target: int) -> tuple[list[np.ndarray], np.ndarray]:
    """What the input and each bias with places contribute, float64 [N, C, *space], and the score.

    Modules are hooked, where the artifact follows the nodes of a graph.
    """
    calls: list[tuple[nn.Module, tuple[torch.Tensor, ...], torch.Tensor]] = []

    def hook(module: nn.Module, given: Any, result: torch.Tensor) -> None:
        calls.append((module, given, result))

    of_interest = (*CONVS.values(), *NORMS.values(), *CURVED, Product)
    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, of_interest)]
    leaf = torch.from_numpy(x).double().requires_grad_(True)
    score = model.double()(leaf)[:, target]
    for one in hooks:
        one.remove()
    slopes = torch.autograd.grad(score.sum(), [leaf, *(result for _, _, result in calls)])
    found = [slopes[0] * leaf]
    for (module, given, y), g in zip(calls, slopes[1:], strict=True):
        if y[0, 0].numel() == 1:
            continue  # one place: it tells nothing of the image
        if isinstance(module, CURVED):
            z = given[0].detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(module(z).sum(), z)
            found.append(g * (y - slope * z))
        elif isinstance(module, Product):
            found.append(-g * y)
        else:
            bias = module.bias
            if isinstance(module, tuple(NORMS.values())):
                root = (module.running_var + module.eps).sqrt()
                bias = module.bias - module.weight * module.running_mean / root
            if bias is not None:
                found.append(g * bias.reshape(1, -1, *[1] * (y.dim() - 2)))
    model.float()
    return [one.detach().numpy() for one in found], score.detach().numpy()


def psi(term: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """Magnitudes from 0 to 1 for each image, interpolated to the image, summed over channels."""
    size = np.abs(term)
    flat = size.reshape(len(size), -1)
    ends = [end(flat, axis=1).reshape(-1, *[1] * (size.ndim - 1)) for end in (np.min, np.max)]
    spread = ends[1] - ends[0]
    scaled = torch.from_numpy((size - ends[0]) / np.where(spread, spread, 1))
    mode = ("linear", "bilinear", "trilinear")[len(space) - 1]
    return functional.interpolate(scaled, space, mode=mode).sum(1).numpy()


def noise(axes: int, count: int = 3) -> np.ndarray:
    generator = np.random.default_rng(1)
    return generator.standard_normal((count, 3, *SPACES[axes])).astype(np.float32) * 2
