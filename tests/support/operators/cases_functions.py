"""Further functions of one element, at their thresholds too, and the mean of several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import Case

X = {"x": ("N", 2, 3)}
INSIDE, OUTSIDE = (-0.9, 0.9), (1.2, 3.0)
# Attributes are float32: 0.7 is off by 1e-8 relative.
LOOSE = 1e-7

FUNCTIONS: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], tuple[float, float]]] = [
    ("Acos", torch.acos, INSIDE), ("Acosh", torch.acosh, OUTSIDE), ("Asin", torch.asin, INSIDE),
    ("Asinh", torch.asinh, (-3, 3)), ("Atan", torch.atan, (-3, 3)), ("Atanh", torch.atanh, INSIDE),
    ("Cosh", torch.cosh, (-2, 2)), ("Sinh", torch.sinh, (-2, 2)), ("Tan", torch.tan, (-1.3, 1.3)),
]  # fmt: skip


def _at(*numbers: float) -> dict[str, np.ndarray]:
    return {"x": np.array([numbers])}


def _shrunk(x: torch.Tensor, bound: float, bias: float) -> torch.Tensor:
    return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, x * 0))


def _threshold(x: torch.Tensor, alpha: float) -> torch.Tensor:
    return F.threshold(x, alpha, 0.0)


ALPHAS: Sequence[float] = (1.0, 0.5, -0.25)

CASES = [
    *(
        Case(op_type.lower(), f"y = {op_type}(x)", X, function, span=span)
        for op_type, function, span in FUNCTIONS
    ),
    *(
        Case(f"{op_type.lower()} at zero", f"y = {op_type}(x)", _at(0.0), function,
             expected={"x": [[slope]]})
        for op_type, function, slope in (
            ("Asin", torch.asin, 1), ("Asinh", torch.asinh, 1), ("Atan", torch.atan, 1),
            ("Atanh", torch.atanh, 1), ("Acos", torch.acos, -1), ("Sinh", torch.sinh, 1),
            ("Cosh", torch.cosh, 0), ("Tan", torch.tan, 1))
    ),
    *(
        Case(f"{op_type.lower()} at its bounds: infinite", f"y = {op_type}(x)", _at(*bounds),
             function, kink=True, expected={"x": [[slope] * len(bounds)]})
        for op_type, function, bounds, slope in (
            ("Asin", torch.asin, (-1.0, 1.0), np.inf), ("Acos", torch.acos, (-1.0, 1.0), -np.inf),
            ("Acosh", torch.acosh, (1.0,), np.inf), ("Atanh", torch.atanh, (-1.0, 1.0), np.inf))
    ),
    Case("celu", "y = Celu(x)", X, F.celu),
    *(
        Case(f"celu, alpha {alpha}", f"y = Celu<alpha={alpha}>(x)", X,
             lambda x, alpha=alpha: F.celu(x, alpha), loose=LOOSE)
        for alpha in (0.7, 2.5)
    ),
    Case("celu at zero", "y = Celu<alpha=2.0>(x)", _at(-1e-30, 0.0, 1e-30),
         lambda x: F.celu(x, 2.0), kink=True, expected={"x": [[1, 1, 1]]}),
    *(
        Case(f"thresholded relu, alpha {alpha}", f"y = ThresholdedRelu<alpha={alpha}>(x)", X,
             lambda x, alpha=alpha: _threshold(x, alpha))
        for alpha in ALPHAS
    ),
    Case("thresholded relu by default", "y = ThresholdedRelu(x)", X,
         lambda x: _threshold(x, 1.0)),
    Case("thresholded relu at its threshold", "y = ThresholdedRelu<alpha=1.0>(x)",
         _at(0.5, 1.0, 1.5), lambda x: _threshold(x, 1.0), kink=True, expected={"x": [[0, 0, 1]]}),
    Case("shrink by default", "y = Shrink(x)", X, F.hardshrink),
    Case("soft shrink", "y = Shrink<lambd=0.75, bias=0.75>(x)", X,
         lambda x: F.softshrink(x, 0.75)),
    Case("shrink by another bias", "y = Shrink<lambd=0.25, bias=-1.5>(x)", X,
         lambda x: _shrunk(x, 0.25, -1.5)),
    Case("shrink, negative bound", "y = Shrink<lambd=-1.0, bias=0.5>(x)", X,
         lambda x: _shrunk(x, -1.0, 0.5)),
    Case("shrink at its bounds", "y = Shrink<lambd=1.0, bias=1.0>(x)",
         _at(-2.0, -1.0, 0.0, 1.0, 2.0), lambda x: F.softshrink(x, 1.0), kink=True,
         expected={"x": [[1, 0, 0, 0, 1]]}),
    Case("mean of three, broadcast", "y = Mean(a, b, c)",
         {"a": ("N", 2, 3), "b": (3,), "c": (2, 1)}, lambda a, b, c: (a + b + c) / 3),
    Case("mean of two", "y = Mean(a, b)", {"a": ("N", 1, 3), "b": ("N", 2, 1)},
         lambda a, b: (a + b) / 2, reference="none",
         remark="the reference evaluator broadcasts the first input only"),
    Case("mean of one", "y = Mean(x)", X, lambda x: x),
    Case("mean of a value, itself and a constant", "y = Mean(x, c, x)", X,
         lambda x, c: (2 * x + c) / 3, {"c": 0.5}),
    Case("remainder, modulus by row", "y = Mod<fmod=1>(x, m)",
         {"x": (2, 3), "m": np.array([[0.7], [-1.1]])}, torch.fmod),
    Case("remainder, broadcast", "y = Mod<fmod=1>(x, m)", {"x": ("N", 3, 4), "m": ("N", 1, 1)},
         torch.fmod),
    Case("remainder of a constant modulus", "y = Mod<fmod=1>(x, m)", X,
         lambda x, m: x.fmod(m), {"m": 0.7}),
]  # fmt: skip
