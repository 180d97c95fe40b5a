"""A small graph that grows by steps, each of which takes the latest value and perhaps others.

Shapes leave the batch out, which is always the first axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from support.operators.harness import weights

Shape: TypeAlias = tuple[int, ...]
# Chooses one of so many, counted from 0; the first is the simplest.
Choose: TypeAlias = Callable[[int], int]


class Chooser:
    """Makes the choices of whoever builds something at random.

    Attributes:
        choose: Where choices come from: hypothesis, a random generator, or a record of them.
    """

    def __init__(self, choose: Choose) -> None:
        self.choose = choose

    def one_of(self, *choices: Any) -> Any:
        """A choice."""
        return choices[self.choose(len(choices))]

    def number(self, low: int, high: int) -> int:
        """A whole number, bounds included."""
        return low + self.choose(high - low + 1)


class Builder(Chooser):
    """An ONNX graph as it grows.

    Attributes:
        lines: ONNX nodes in textual form.
        constants: Tensors by name.
        values: Name and shape of all values that later steps may take; the latest is the last.
        opset: Version of the operators; steps write their nodes as this version has them.
        measure: Gives the shape of a value that is only known by running the graph so far. Without
            it, only steps that know their shapes can be taken.
    """

    def __init__(
        self,
        choose: Choose,
        shape: Shape,
        *,
        first: str = "x",
        opset: int = 18,
        measure: Callable[[Builder, str], Shape] | None = None,
    ) -> None:
        super().__init__(choose)
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.values: list[tuple[str, Shape]] = [(first, shape)]
        self.opset, self.measure = opset, measure

    @property
    def latest(self) -> tuple[str, Shape]:
        """The value that the next step takes."""
        return self.values[-1]

    def state(self) -> tuple[Any, ...]:
        """What `restore` takes, to undo a step."""
        return list(self.lines), dict(self.constants), list(self.values)

    def restore(self, state: tuple[Any, ...]) -> None:
        """Undo what was added since."""
        self.lines, self.constants, self.values = state

    def axis(self, shape: Shape) -> int:
        """An axis behind the batch, as ONNX counts them."""
        return self.number(1, len(shape))

    def signed(self, axis: int, shape: Shape) -> int:
        """The same axis, perhaps counted from the end."""
        return self.one_of(axis, axis - len(shape) - 1)

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

    def reduction(self, kind: str, x: str, axes: Sequence[int], keep: int = 1) -> str:
        """The text of a reduction; its axes became an input in opset 18 (of the sum, 13)."""
        if self.opset >= (13 if kind == "Sum" else 18):
            return f"Reduce{kind}<keepdims={keep}>({x}, {self.constant(list(axes))})"
        return f"Reduce{kind}<axes={list(axes)}, keepdims={keep}>({x})"

    def no_region(self) -> str:
        """What a Resize takes for the region of a crop that it does not make."""
        return "" if self.opset >= 13 else self.constant(np.zeros(0))

    def add(self, text: str, shape: Sequence[int] | None = None) -> None:
        """A node that gives a value of this shape, or of one that only a run shows."""
        name = self.hidden(text)
        if self.measure is not None:
            shape = self.measure(self, name)
        assert shape is not None, f"the shape of {text} is only known by a run"
        self.values.append((name, tuple(shape)))

    def hidden(self, text: str) -> str:
        """A node whose output only this step uses."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name

    def close(self) -> None:
        """Class scores ``y`` [N, classes] of the latest value."""
        name, shape = self.latest
        places = math.prod(shape)
        if len(shape) > 1:
            self.add(f"Flatten({name})", (places,))
            name = self.latest[0]
        if self.one_of(False, True) or places < 2:
            rows = self.tensor(places, 3, fan=places)
            self.add(f"Gemm({name}, {rows}, {self.tensor(3)})", (3,))
        self.lines.append(f"y = Identity({self.latest[0]})")
