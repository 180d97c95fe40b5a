"""Reductions over any axes, with and without keepdims, over zeros and infinities too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from support.operators.harness import SPACE, Case

X = {"x": ("N", 2, 3, 4)}
AXES: list[list[int] | None] = [[0], [1], [-1], [2, 3], [3, 1], [-3, 0], [0, 1, 2, 3], None]
ANY = (-2.0, 2.0)
INF = float("inf")


def _product(x: torch.Tensor, dim: tuple[int, ...], keep: bool) -> torch.Tensor:
    for axis in sorted({axis % x.dim() for axis in dim}, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


# Twins over one or several axes, and bounds of the numbers.
TWINS: dict[str, tuple[Callable[..., torch.Tensor], tuple[float, float]]] = {
    "ReduceSum": (lambda x, dim, keep: x.sum(dim, keepdim=keep), ANY),
    "ReduceMean": (lambda x, dim, keep: x.mean(dim, keepdim=keep), ANY),
    "ReduceMax": (lambda x, dim, keep: torch.amax(x, dim, keepdim=keep), ANY),
    "ReduceMin": (lambda x, dim, keep: torch.amin(x, dim, keepdim=keep), ANY),
    "ReduceL2": (lambda x, dim, keep: torch.sqrt((x * x).sum(dim, keepdim=keep)), ANY),
    "ReduceL1": (lambda x, dim, keep: x.abs().sum(dim, keepdim=keep), ANY),
    "ReduceSumSquare": (lambda x, dim, keep: (x * x).sum(dim, keepdim=keep), ANY),
    "ReduceLogSum": (lambda x, dim, keep: x.sum(dim, keepdim=keep).log(), (0.5, 2)),
    "ReduceLogSumExp": (lambda x, dim, keep: torch.logsumexp(x, dim, keepdim=keep), ANY),
    "ReduceProd": (_product, (0.6, 1.5)),
}
OVER_NOTHING: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "ReduceL1": torch.abs, "ReduceSumSquare": torch.square, "ReduceLogSum": torch.log,
    "ReduceLogSumExp": lambda x: x, "ReduceProd": lambda x: x,
}  # fmt: skip
PLAIN = [op_type for op_type in TWINS if op_type not in OVER_NOTHING]


def _reduction(op_type: str, axes: list[int] | None, keep: int) -> Case:
    twin, span = TWINS[op_type]
    dim = tuple(range(4)) if axes is None else tuple(axes)
    return Case(
        f"{op_type} over {'all' if axes is None else axes}, keepdims {keep}",
        f"y = {op_type}<keepdims={keep}>({'x' if axes is None else 'x, axes'})", X,
        lambda x: twin(x, dim, bool(keep)), {} if axes is None else {"axes": axes}, span=span,
    )  # fmt: skip


def _twice(op_type: str, axes: list[int]) -> Case:
    """With open height and width, and a second operator that spreads the cotangent already."""
    twin = TWINS[op_type][0]
    return Case(
        f"{op_type} of a {op_type} over {axes}", f"m = {op_type}<keepdims=0>(x, axes) "
        f"y = {op_type}<keepdims=0>(m, last)", X,
        lambda x: twin(twin(x, tuple(axes), False), (-1,), False),
        {"axes": axes, "last": [-1]}, open=SPACE,
    )  # fmt: skip


def _row(op_type: str, numbers: list[float], slopes: list[float] | None, **more: Any) -> Case:
    twin = TWINS[op_type][0]
    expected = None if slopes is None else {"x": [slopes]}
    return Case(
        f"{op_type} of {numbers}", f"y = {op_type}<keepdims=0>(x, axes)",
        {"x": np.array([numbers])}, lambda x: twin(x, (1,), False), {"axes": [1]},
        expected=expected, **more,
    )  # fmt: skip


CASES = [
    *(
        _reduction(op_type, axes, keep)
        for op_type in TWINS
        for axes in AXES
        for keep in (0, 1)
        if op_type in PLAIN or axes not in ([1], [-3, 0])
    ),
    *(_twice(op_type, axes) for op_type in PLAIN for axes in ([2], [3], [1])),
    *(
        Case(f"{op_type} over space", f"y = {op_type}(x, axes)", X,
             lambda x, twin=twin: twin(x, (2, 3), True), {"axes": [2, 3]}, open=SPACE, span=span)
        for op_type, (twin, span) in TWINS.items()
    ),
    *(
        Case(f"{op_type} over nothing",
             f"y = {op_type}<noop_with_empty_axes=1, keepdims={keep}>(x)", X,
             torch.abs if op_type == "ReduceL2" else (lambda x: x))
        for op_type in PLAIN
        for keep in (0, 1)
    ),
    *(
        Case(f"{op_type} over nothing", f"y = {op_type}<noop_with_empty_axes=1>(x)", X, twin,
             span=TWINS[op_type][1], reference="none",
             kink=op_type in ("ReduceL1", "ReduceSumSquare"),
             remark="the reference evaluator leaves out the function itself")
        # onnx-ad 0.3 takes y = x for these two; cases at kinks are not compared with it.
        for op_type, twin in OVER_NOTHING.items()
    ),
    Case("ReduceSum, empty axes", "y = ReduceSum<keepdims=0>(x, axes)", X, lambda x: x.sum(),
         {"axes": np.zeros(0, np.int64)}),
    Case("ReduceMean, opset 13's axes", "y = ReduceMean<axes=[1, 2], keepdims=0>(x)", X,
         lambda x: x.mean((1, 2)), opset=17),
    *(_row(op_type, [2.0] * 4, [0.25] * 4, kink=True) for op_type in ("ReduceMax", "ReduceMin")),
    Case("ReduceL2 of zeros", "y = ReduceL2<keepdims=0>(x, axes)",
         {"x": np.array([[0.0, 0.0], [3.0, 4.0]])}, lambda x: torch.linalg.vector_norm(x, dim=1),
         {"axes": [1]}, kink=True),
    _row("ReduceL1", [-1.0, 0.0, 2.0], [-1, 0, 1], kink=True),
    _row("ReduceSumSquare", [-1.0, 0.0, 2.0], [-2, 0, 4]),
    _row("ReduceLogSum", [-1.0, 3.0], [0.5, 0.5], float32=1e-6),
    _row("ReduceLogSumExp", [-INF, 1.0], [0, 1], kink=True),
    _row("ReduceLogSumExp", [500.0, 501.0], None),
    # No kinks, but onnx-ad 0.3 divides by the zeros; PyTorch decides.
    _row("ReduceProd", [2.0, 0.0, 5.0], [0, 10, 0], kink=True),
    _row("ReduceProd", [0.0, 3.0, 0.0], [0, 0, 0], kink=True),
    _row("ReduceProd", [0.0, 0.0, 0.0], [0, 0, 0], kink=True),
    _row("ReduceProd", [-2.0, 3.0, -0.5], [-1.5, 1, -6]),
    _row("ReduceProd", [4.0], [1]),
]  # fmt: skip
