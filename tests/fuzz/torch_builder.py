"""A random PyTorch module as it grows: its text, which runs by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from support.operators.graph_builder import Chooser, Shape

from .program import Choices
from .torch_run import LAYER, gradients, loaded

# A value's numbers per image, its axes with the batch, and the largest number: small models that
# float32 computes well.
LARGEST, MOST_AXES, HIGHEST = 200, 5, 50.0
IMAGES = 2
FIRST: tuple[Shape, ...] = (
    (2, 4, 4), (4, 4, 6), (3, 5, 4), (4, 3, 3), (4, 6), (6, 4), (3, 5), (2, 3, 4, 4),
)  # fmt: skip
STEMS = {1: "nn.Linear({c}, {c})", 2: "nn.Conv1d({c}, {c}, 1)", 3: "nn.Conv2d({c}, {c}, 1)"}
LAYERS = ("nn.Tanh()", "nn.ReLU()", "nn.Sigmoid()", "nn.Hardtanh()", "nn.SiLU()")

TEXT = """import torch
import torch.nn.functional as F
from torch import nn


class Program(nn.Module):
    def __init__(self):
        super().__init__()
        {modules}

    def forward(self, x):
        {lines}


torch.manual_seed(0)
model = Program().eval()
with torch.no_grad():
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn(parameter.shape))
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
x = torch.randn({shape})
"""


class UnfitError(Exception):
    """A step gives a value that the model cannot go on with."""


class TorchBuilder(Chooser):
    """A module whose layer is the second of its steps.

    Attributes:
        modules: Lines of its constructor.
        lines: Lines of its ``forward``.
        values: Names and shapes, without the batch, of all values; the latest is the last.
        first: Shape of the input, without the batch.
        highest: The largest number that a value may have.
    """

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.modules: list[str] = []
        self.highest = HIGHEST
        self.lines: list[str] = []
        self.first: Shape = self.one_of(*FIRST)
        self.values: list[tuple[str, Shape]] = [("x", self.first)]
        stem = self.one_of("", STEMS.get(len(self.first), ""))
        if stem:
            self.add(f"{self.module(stem.format(c=self.first[0]))}({{x}})")
        self.modules.append(f"self.{LAYER} = {self.one_of(*LAYERS)}")
        self.add(f"self.{LAYER}({{x}})")

    @property
    def latest(self) -> tuple[str, Shape]:
        """The value that the next step takes."""
        return self.values[-1]

    @property
    def behind(self) -> list[tuple[str, Shape]]:
        """The values from the layer's on."""
        at = next(i for i, line in enumerate(self.lines) if f"self.{LAYER}(" in line)
        return self.values[at + 1 :]

    def state(self) -> tuple[Any, ...]:
        """What `restore` takes, to undo a step."""
        return list(self.modules), list(self.lines), list(self.values)

    def restore(self, state: tuple[Any, ...]) -> None:
        """Undo what was added since."""
        self.modules, self.lines, self.values = state

    def module(self, text: str) -> str:
        """A submodule; its name in ``forward``."""
        name = f"self.m{len(self.modules)}"
        self.modules.append(f"{name} = {text}")
        return name

    def earlier(self) -> str:
        """A value of the latest one's shape, behind the layer; perhaps that one itself."""
        return self.one_of(*(name for name, other in self.behind if other == self.latest[1]))

    def add(self, expression: str) -> None:
        """The next value: an expression of the latest one, ``{x}``."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {expression.replace('{x}', self.latest[0])}")
        self.values.append((name, self._shape(name)))

    def text(self, value: str) -> str:
        """The module up to a value, without submodules that no line uses."""
        lines = "\n        ".join([*self.lines, f"return {value}"])
        used = [one for one in self.modules if re.search(rf"{one.split(' = ')[0]}\b", lines)]
        return TEXT.format(
            modules="\n        ".join(used), lines=lines, shape=[IMAGES, *self.first]
        )

    def _shape(self, name: str) -> Shape:
        model, x = loaded(self.text(name))
        with torch.no_grad():
            value = model(x.clone())
        fits = value.dtype == torch.float32 and 1 < value.ndim <= MOST_AXES
        if not fits or value.shape[0] != IMAGES or not 0 < value[0].numel() <= LARGEST:
            raise UnfitError(f"{name} is {value.dtype} {tuple(value.shape)}")
        if not value.isfinite().all() or value.abs().max() > self.highest:
            raise UnfitError(f"{name} has numbers beyond {self.highest}")
        if any(f"self.{LAYER} " in line for line in self.modules):
            gradients(model, x, lambda y: y.flatten(1)[:, :1])  # raises where autograd does
        return tuple(value.shape[1:])


Make: TypeAlias = Callable[[TorchBuilder, str, Shape], None]


@dataclass(frozen=True)
class TorchStep:
    """A step, and the ranks of the values that it takes, the batch not counted."""

    make: Make
    ranks: tuple[int, ...]

    @property
    def name(self) -> str:
        """What a record calls it."""
        return self.make.__name__


TORCH_STEPS: list[TorchStep] = []


def step(*ranks: int) -> Callable[[Make], Make]:
    """Register a step for values of these ranks; all of them by default."""

    def register(make: Make) -> Make:
        TORCH_STEPS.append(TorchStep(make, ranks or (1, 2, 3, 4)))
        return make

    return register
