"""Tensors made of a few numbers: arithmetic ranges and one-hot codes."""

from __future__ import annotations

import numpy as np
import torch

from support.operators.harness import Case

PLACES = np.array([[2, 0], [1, -1]])


def _range(start: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    return start + step * torch.arange(4)


def _start(start: torch.Tensor) -> torch.Tensor:
    return start + 0.5 * torch.arange(3, dtype=torch.float64)


def _hot(x: torch.Tensor) -> torch.Tensor:
    hot = torch.nn.functional.one_hot(torch.tensor(PLACES % 3), 3)
    return torch.where(hot == 1, x[1], x[0])


def _hot_in_front(x: torch.Tensor) -> torch.Tensor:
    return _hot(x).movedim(-1, 0)


VALUES = {"x": (2,)}
HOT = {"i": PLACES, "depth": 3}

CASES = [
    # The limit lies half a step behind the last number, so that no difference moves it over one.
    Case("range from a start by a step", "limit = Add(start, end) y = Range(start, limit, step)",
         {"start": np.array(0.75), "step": np.array(0.5)}, _range, constants={"end": 1.75}),
    Case("range from a start", "y = Range(start, limit, step)", {"start": np.array(0.5)}, _start,
         constants={"limit": 1.75, "step": 0.5}),
    Case("range of a length read at run time, in a product",
         "s = Shape<start=1, end=2>(x) n = Squeeze(s) f = Cast<to=FLOAT>(n) limit = Sub(f, half) "
         "r = Range(z, limit, step) y = Mul(x, r)", {"x": ("N", 3), "step": np.array(1.0)},
         lambda x, step: x * (step * torch.arange(3)), constants={"z": 0.0, "half": 0.5},
         open=((0,), (0, 1))),
    Case("one-hot codes", "y = OneHot(i, depth, x)", VALUES, _hot, constants=HOT),
    Case("one-hot codes on the first axis", "y = OneHot<axis=0>(i, depth, x)", VALUES,
         _hot_in_front, constants=HOT),
]  # fmt: skip
