"""Arithmetic on elements: broadcasting on either side, and the conventions at kinks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import Case, weights

X = {"x": ("N", 2, 3)}
FAR = (0.5, 3.0)  # away from 0, for roots, logarithms and divisors
OPERATORS = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div,
}  # fmt: skip
# Shapes of a second operand of [N, 2, 3] (or, swapped, a first one): what broadcasting can be.
PARTNERS = {
    "the same shape": ("N", 2, 3), "fewer axes": (3,), "two axes": (2, 3), "extent 1": (2, 1),
    "one image for all": (1, 2, 3), "a scalar": (), "one element": (1, 1, 1),
    "more axes": (2, 1, 1, 3),
}  # fmt: skip


def _binary() -> list[Case]:
    cases: list[Case] = []
    for op_type, function in OPERATORS.items():
        for title, shape in PARTNERS.items():
            cases.append(
                Case(
                    f"{op_type}, second operand: {title}", f"y = {op_type}(a, b)",
                    {"a": ("N", 2, 3), "b": shape},
                    lambda a, b, function=function: function(a, b), span=FAR,
                )
            )  # fmt: skip
        for title, shape in PARTNERS.items():
            if "N" in shape:
                continue
            for first in (False, True):
                order = "c, x" if first else "x, c"
                cases.append(
                    Case(
                        f"{op_type}({order}), constant: {title}", f"y = {op_type}({order})", X,
                        lambda x, c, function=function, first=first: (
                            function(c, x) if first else function(x, c)
                        ),
                        {"c": weights(*shape, low=0.5, high=2.0)}, span=FAR,
                    )
                )  # fmt: skip
    return cases


def _kinks(*numbers: float) -> dict[str, np.ndarray]:
    return {"x": np.array([numbers])}


def _unary(op_type: str, function: object, **more: object) -> Case:
    return Case(op_type.lower(), f"y = {op_type}(x)", X, function, **more)  # type: ignore[arg-type]


CASES = [
    *_binary(),
    Case("mul of a value with itself", "y = Mul(x, x)", X, lambda x: x * x),
    Case("div of a value by itself", "y = Div(x, x)", X, lambda x: x / x),
    Case("sub of a value from itself", "y = Sub(x, x)", X, lambda x: x - x),
    Case(
        "both operands broadcast", "y = Mul(a, b)", {"a": ("N", 1, 3), "b": (2, 1)},
        lambda a, b: a * b,
    ),
    Case(
        "sum of three", "y = Sum(a, b, c)", {"a": ("N", 2, 3), "b": (3,), "c": (2, 1)},
        lambda a, b, c: a + b + c,
    ),
    Case("sum of one", "y = Sum(x)", X, lambda x: x),
    _unary("Identity", lambda x: x),
    _unary("Neg", lambda x: -x),
    _unary("Exp", torch.exp),
    _unary("Log", torch.log, span=FAR),
    _unary("Sqrt", torch.sqrt, span=FAR),
    _unary("Reciprocal", torch.reciprocal, span=FAR),
    _unary("Abs", torch.abs),
    _unary("Erf", torch.erf),
    _unary("Sin", torch.sin),
    _unary("Cos", torch.cos),
    Case("abs at zero", "y = Abs(x)", _kinks(-1, 0, 1), torch.abs, kink=True,
         expected={"x": [[-1, 0, 1]]}),
    Case("dropout", "y = Dropout(x)", X, lambda x: x),
    Case("dropout with a ratio", "y = Dropout(x, ratio, training)", X, lambda x: x,
         {"ratio": 0.5, "training": np.array(False)}, opset=22),
    Case("cast to double and back", "d = Cast<to=11>(x) e = Mul(d, d) y = Cast<to=FLOAT>(e)", X,
         lambda x: x * x),
    Case("cast like an input of another type and back",
         "d = Cast<to=11>(c) e = CastLike(x, d) f = Mul(e, e) y = CastLike(f, x)", X,
         lambda x, c: x * x, {"c": 1.0}),
    Case("cast to half and back", "d = Cast<to=10>(x) y = Cast<to=FLOAT>(d)", X, lambda x: x,
         kink=True, float32=1e-3, reference="none", remark="half the cotangent's digits are lost"),
    *(
        Case(f"pow, exponent {p}", "y = Pow(x, p)", X, lambda x, p: x**p, {"p": p}, span=FAR)
        for p in (-1.5, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)
    ),
    Case("pow, negative base", "y = Pow(x, p)", X, lambda x, p: x**p, {"p": 3.0}, span=(-2, -0.5)),
    Case("pow, whole exponent", "y = Pow(x, p)", X, lambda x, p: x**p, {"p": np.array(3)}),
    Case("pow, whole exponents", "y = Pow(x, p)", X, lambda x, p: x**p,
         {"p": np.array([0, 1, 2])}),
    Case("pow, exponents by column", "y = Pow(x, p)", X, lambda x, p: x**p,
         {"p": np.array([0.0, 0.5, -2.0])}, span=FAR),
    Case("pow, both differentiated", "y = Pow(a, b)", {"a": ("N", 2, 3), "b": (2, 1)},
         lambda a, b: a**b, span=FAR),
    Case("pow, constant base", "y = Pow(c, x)", X, lambda x, c: c**x, {"c": 2.5}),
    Case("pow at zero", "y = Pow(x, p)", _kinks(0, 0, 0, 0), lambda x, p: x**p,
         {"p": np.array([0.0, 1.0, 2.0, 3.0])}, kink=True, expected={"x": [[0, 1, 0, 0]]}),
    Case("pow at zero, by exponent", "y = Pow(c, x)", _kinks(0, 0.5, 2), lambda x, c: c**x,
         {"c": 0.0}, kink=True, expected={"x": [[0, 0, 0]]}),
    Case("where", "y = Where(c, a, b)", {"a": ("N", 2, 3), "b": ("N", 2, 3)},
         lambda c, a, b: a.where(c, b),
         {"c": np.array([[True, False, True], [False, False, True]])}),
    Case("where, one side", "y = Where(c, x, z)", X, lambda c, x, z: x.where(c, z),
         {"c": np.array([[True], [False]]), "z": 0.0}),
    Case("where, other side", "y = Where(c, z, x)", X, lambda c, x, z: z.where(c, x),
         {"c": np.array([[True], [False]]), "z": -1e9}),
    Case("where, everything broadcast", "y = Where(c, a, b)", {"a": ("N", 1, 3), "b": (3,)},
         lambda c, a, b: a.where(c, b), {"c": np.array([[True], [False]])}),
    Case("where on the data", "c = Greater(x, z) d = Mul(x, x) y = Where(c, d, x)", X,
         lambda x: torch.where(x > 0.5, x * x, x), {"z": 0.5}),
    *(
        Case(f"{op_type} of two", f"y = {op_type}(a, b)", {"a": ("N", 2, 3), "b": (2, 1)},
             f)
        for op_type, f in (("Max", torch.maximum), ("Min", torch.minimum))
    ),
    *(
        Case(f"{op_type} at a tie: half each", f"y = {op_type}(a, b)",
             {"a": np.array([[1.0, 2.0]]), "b": np.array([[1.0, 1.0]])},
             f, kink=True, expected={"a": [[0.5, k]], "b": [[0.5, 1 - k]]})
        for op_type, f, k in (("Max", torch.maximum, 1), ("Min", torch.minimum, 0))
    ),
    Case("max of three, tied", "y = Max(a, b, c)",
         {"a": np.array([6.0]), "b": np.array([6.0]), "c": np.array([6.0])},
         lambda a, b, c: torch.amax(torch.stack([a, b, c]), 0), kink=True,
         expected={"a": [1 / 3], "b": [1 / 3], "c": [1 / 3]}),
    Case("max of one", "y = Max(x)", X, lambda x: x),
    Case("max of a value with itself", "y = Max(x, x)", X, lambda x: x),
    Case("max with a constant", "y = Max(x, c)", X,
         lambda x, c: x.maximum(c), {"c": 0.0}),
    Case("clip", "y = Clip(x, low, high)", X, lambda x: torch.clamp(x, -0.5, 1.0),
         {"low": -0.5, "high": 1.0}),
    Case("clip from below", "y = Clip(x, low)", X, lambda x: torch.clamp(x, min=-0.5),
         {"low": -0.5}),
    Case("clip from above", "y = Clip(x, , high)", X, lambda x: torch.clamp(x, max=0.5),
         {"high": 0.5}),
    Case("clip without bounds", "y = Clip(x)", X, lambda x: x),
    Case("clip at its bounds", "y = Clip(x, low, high)", _kinks(-2, -1, 0, 1, 2),
         F.hardtanh, {"low": -1.0, "high": 1.0}, kink=True,
         expected={"x": [[0, 0, 1, 0, 0]]}),
    Case("clip to 0 and 6 at its bounds", "y = Clip(x, low, high)", _kinks(-1, 0, 3, 6, 7),
         F.relu6, {"low": 0.0, "high": 6.0}, kink=True,
         expected={"x": [[0, 0, 1, 0, 0]]}),
    Case("clip from below at its bound", "y = Clip(x, low)", _kinks(-1, 0, 1),
         lambda x: x.relu(), {"low": 0.0}, kink=True, expected={"x": [[0, 0, 1]]}),
]  # fmt: skip
