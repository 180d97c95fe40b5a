"""A small graph that grows by steps, each of which takes the latest value and perhaps others.

Shapes leave the batch out, which is always the first axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from support.operators.harness import weights

Shape: TypeAlias = tuple[int, ...]
Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]


class Builder:
    """A graph as it grows.

    Attributes:
        draw: Makes choices.
        lines: ONNX nodes in textual form.
        constants: Tensors by name.
        values: Name and shape of all values that later steps may take; the latest is the last.
    """

    def __init__(self, draw: Draw, shape: Shape) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.values: list[tuple[str, Shape]] = [("x", shape)]

    @property
    def latest(self) -> tuple[str, Shape]:
        """The value that the next step takes."""
        return self.values[-1]

    def one_of(self, *choices: Any) -> Any:
        """A choice."""
        return self.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        """A whole number, bounds included."""
        return self.draw(st.integers(low, high))

    def axis(self, shape: Shape) -> int:
        """An axis behind the batch, as ONNX counts them."""
        return self.number(1, len(shape))

    def constant(self, value: Any) -> str:
        """A tensor that is part of the model."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def tensor(self, *shape: int, fan: int = 1) -> str:
        """Weights such that sums of ``fan`` products stay near 1."""
        return self.constant(weights(*shape) / math.sqrt(fan))

    def narrow(self, shape: Shape) -> list[int]:
        """The shape with some extents 1, perhaps without leading axes: broadcasts against it."""
        chosen = [n if self.one_of(True, False) else 1 for n in shape]
        return chosen[self.number(0, len(chosen)) :]

    def add(self, text: str, shape: Sequence[int]) -> None:
        """A node that gives a value of this shape."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.values.append((name, tuple(shape)))

    def hidden(self, text: str) -> str:
        """A node whose output only this step uses."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name
