"""Matrix products: every layout of Gemm, and stacks of matrices that broadcast."""

from __future__ import annotations

from itertools import product

import torch

from support.operators.harness import BATCH, Case, Shape, weights


def _gemm(trans_a: int, trans_b: int, c: Shape | None, constants: bool, **more: object) -> Case:
    """A Gemm with attributes alpha = 0.5 and beta = -2, to 4 columns; b and c may be constants."""
    a = (2, "N") if trans_a else ("N", 2)
    b = (4, 2) if trans_b else (2, 4)
    inputs: dict[str, Shape] = {"a": a}
    fixed = {}
    if constants:
        fixed = {"b": weights(*b)} | ({"c": weights(*c)} if c is not None else {})  # type: ignore[arg-type]
    else:
        inputs |= {"b": b} | ({"c": c} if c is not None else {})

    def twin(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        y = 0.5 * (a.T if trans_a else a) @ (b.T if trans_b else b)
        return y if c is None else y - 2 * c

    return Case(
        f"gemm, transA={trans_a}, transB={trans_b}, c {'none' if c is None else list(c)}"
        f"{', constants' if constants else ''}",
        f"y = Gemm<alpha=0.5, beta=-2.0, transA={trans_a}, transB={trans_b}>"
        f"({'a, b' if c is None else 'a, b, c'})",
        inputs,
        twin if c is not None else lambda a, b: twin(a, b, None),
        fixed, open=((1,),) if trans_a else BATCH, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _matmul(name: str, a: Shape, b: Shape, which: str) -> Case:
    """Both operands differentiated, or the other one constant."""
    inputs = {key: shape for key, shape in (("a", a), ("b", b)) if key in which}
    fixed = {
        key: weights(*shape)  # type: ignore[arg-type]
        for key, shape in (("a", a), ("b", b))
        if key not in which
    }
    return Case(
        f"matmul, {name}, for {which}", "y = MatMul(a, b)", inputs, lambda a, b: a @ b, fixed
    )


BIASES: list[Shape | None] = [None, (1, 4), ("N", 4), ("N", 1), (1, 1), (1,), ()]
STACKS: list[tuple[str, Shape, Shape]] = [
    ("matrices", ("N", 2), (2, 4)),
    ("a stack by a matrix", ("N", 3, 2), (2, 4)),
    ("a stack of stacks by a matrix", ("N", 2, 3, 2), (2, 4)),
    ("two stacks", ("N", 3, 2), ("N", 2, 4)),
    ("two stacks of stacks", ("N", 2, 3, 2), ("N", 2, 2, 4)),
    ("a stack by one", ("N", 3, 2), (1, 2, 4)),
    ("a stack of stacks by a stack", ("N", 2, 3, 2), (2, 2, 4)),
    ("rows by a vector", ("N", 2), (2,)),
    ("a stack by a vector", ("N", 3, 2), (2,)),
    ("a vector by a stack", (2,), ("N", 2, 4)),
    ("a vector by a stack of stacks", (2,), ("N", 3, 2, 4)),
    ("each broadcast", ("N", 1, 3, 2), (2, 2, 4)),
    ("a matrix by a stack", (3, 2), ("N", 2, 4)),
    ("one by a stack", (1, 3, 2), ("N", 2, 4)),
    ("single rows and columns", ("N", 1, 2), ("N", 2, 1)),
]

CASES = [
    *(_gemm(a, b, (4,), False) for a, b in product((0, 1), repeat=2)),
    *(_gemm(a, b, (4,), True) for a, b in product((0, 1), repeat=2)),
    *(_gemm(0, 1, c, False) for c in BIASES),
    *(
        Case(f"gemm by default, {title}", "y = Gemm(x, w, b)", {"x": ("N", 3)},
             lambda x, w, b: x @ w + b, {"w": weights(3, 2), "b": weights(2)}, opset=opset)
        for title, opset in (("opset 18", 18), ("opset 21", 21))
    ),
    *(_matmul(*stack, which) for stack in STACKS for which in ("ab", "a", "b")
      if any("N" in shape for shape, key in zip(stack[1:], "ab", strict=True) if key in which)
      and not any("N" in shape for shape, key in zip(stack[1:], "ab", strict=True)
                  if key not in which)),
    Case("a value times its transpose", "t = Transpose<perm=[0, 2, 1]>(x) y = MatMul(x, t)",
         {"x": ("N", 2, 3)}, lambda x: x @ x.mT),
    Case("attention",
         """q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv)
         kt = Transpose<perm=[0, 2, 1]>(k) s = MatMul(q, kt) p = Softmax(s) y = MatMul(p, v)""",
         {"x": ("N", 3, 2)},
         lambda x, wq, wk, wv: torch.softmax((x @ wq) @ (x @ wk).mT, -1) @ (x @ wv),
         {"wq": weights(2, 2), "wk": weights(2, 2, low=-2), "wv": weights(2, 3)}),
]  # fmt: skip
