"""Small models for tests, each with one property that an exporter can get wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with random parameters and BatchNorm statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.3)
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return module.eval()


class Tiny(nn.Module):
    """Convolution, BatchNorm, in-place ReLU and a strided stage; pool and linear head."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.relu2 = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


class Ending(Tiny):
    """`Tiny` with an activation behind its logits."""

    def __init__(self, ending: nn.Module, classes: int = 6) -> None:
        super().__init__(classes)
        self.ending = ending

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ending(super().forward(x))


class Flat(nn.Module):
    """No pooling before the linear layer, as VGG: the gradient differs from place to place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(6 * 4 * 4, 10), nn.ReLU(), nn.Linear(10, 5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


class Reused(nn.Module):
    """One activation module called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.Tanh()
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.second(self.act(self.first(x)))).mean((2, 3)))


class Twins(nn.Module):
    """Two activations of the same tensor, which an optimiser may take for one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.left = nn.ReLU()
        self.right = nn.ReLU()
        self.mix = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        return self.head((self.mix(self.left(y)) + self.right(y)).mean((2, 3)))


class PaddedPool(nn.Module):
    """Zeros around values that may all be negative, then a max pool: zeros can be the maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.pool = nn.MaxPool2d(2, stride=1)
        self.last = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(self.pool(self.pad(self.stem(x)))).sigmoid().mean((2, 3)))


class Branches(nn.Module):
    """A side branch that the score does not use, and a module that returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.side = nn.Conv2d(4, 2, 1)
        self.pair = Pair()
        self.unused = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.stem(x)
        a, b = self.pair(y)
        return self.head((a + b).mean((2, 3))), self.side(y)


class Pair(nn.Module):
    """Returns a tuple."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.sigmoid(x), torch.tanh(x)


class Undecided(nn.Module):
    """Two operators between the layer and the score that are refused on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        branch = torch.cond(y.sum() > 0, torch.exp, torch.sin, (y,)).mean((2, 3))
        return self.head(branch + torch.unique(y).sum())


class Tokens(nn.Module):
    """Patches, a class token and one block that mixes tokens; the head reads the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.cls = nn.Parameter(torch.zeros(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 8)
        self.after = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        y = self.norm(x)
        x = x + (y @ self.mix(y).transpose(1, 2)).softmax(-1) @ y
        return self.head(self.after(x)[:, 0])


class Sorted(Tokens):
    """`Tokens` without its class token, with a layer that works on tokens in reverse order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.norm(self.mix(x).flip(1)).flip(1)
        return self.head(nn.functional.gelu(self.after(x)).mean(1))


class ChannelsLast(nn.Module):
    """A stage that works on [N, h, w, C]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 10)
        self.head = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.stem(x).permute(0, 2, 3, 1))
        return self.head(torch.nn.functional.gelu(self.mix(y)).mean((1, 2)))


class Segmenter(nn.Module):
    """Class maps of two depths added and resized to the image's size; another head; a dict."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(8, 10, 3, padding=1)
        self.maps = nn.Conv2d(10, classes, 1)
        self.low = nn.Conv2d(8, classes, 1)
        self.side = nn.Conv2d(8, classes, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = torch.sigmoid(self.stem(x))
        maps = {"out": self.maps(torch.tanh(self.mix(y))) + self.low(y), "aux": self.side(y)}
        return {
            key: nn.functional.interpolate(value, x.shape[2:], mode="bilinear")
            for key, value in maps.items()
        }


class Dense(nn.Module):
    """One tensor of class scores with positions, in one of several forms.

    Args:
        form: ``maps`` [N, classes, h, w]; ``anchors`` [N, classes, h * w]; ``softmax`` over the
            classes, ``across`` over the positions; ``both``: beside a class vector.
        classes: Their number.
    """

    def __init__(self, form: str = "maps", classes: int = 5) -> None:
        super().__init__()
        self.form = form
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.act = nn.Tanh()
        self.maps = nn.Conv2d(8, classes, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.act(self.stem(x))
        maps = self.maps(y)
        if self.form == "anchors":
            return maps.flatten(2)
        if self.form == "softmax":
            return maps.softmax(1)
        if self.form == "across":
            return maps.softmax(-1)
        return (maps, self.head(y.mean((2, 3)))) if self.form == "both" else maps


class Residual(nn.Module):
    """Two blocks with BatchNorm, shortcuts and ReLUs in place; a max pool; two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.inner = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.join = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(8 * 3 * 2, 12)
        self.relu = nn.ReLU()
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.pool(self.join(x + self.inner(x)))
        return self.head(self.relu(self.hidden(x.flatten(1))))
