"""Reductions over any axes, with and without keepdims."""

from __future__ import annotations

import numpy as np
import torch

from support.operators.harness import SPACE, Case

X = {"x": ("N", 2, 3, 4)}
AXES: list[list[int] | None] = [[0], [1], [-1], [2, 3], [3, 1], [-3, 0], [0, 1, 2, 3], None]
TWINS = {
    "ReduceSum": lambda x, dim, keep: x.sum(dim, keepdim=keep),
    "ReduceMean": lambda x, dim, keep: x.mean(dim, keepdim=keep),
    "ReduceMax": lambda x, dim, keep: torch.amax(x, dim, keepdim=keep),
    "ReduceMin": lambda x, dim, keep: torch.amin(x, dim, keepdim=keep),
    "ReduceL2": lambda x, dim, keep: torch.sqrt((x * x).sum(dim, keepdim=keep)),
}


def _reduction(op_type: str, axes: list[int] | None, keep: int, **more: object) -> Case:
    twin = TWINS[op_type]
    dim = tuple(range(4)) if axes is None else tuple(axes)
    return Case(
        f"{op_type} over {'all' if axes is None else axes}, keepdims {keep}",
        f"y = {op_type}<keepdims={keep}>({'x' if axes is None else 'x, axes'})", X,
        lambda x: twin(x, dim, bool(keep)), {} if axes is None else {"axes": axes}, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _twice(op_type: str, axes: list[int]) -> Case:
    """With open height and width, and a second operator that spreads the cotangent already."""
    twin = TWINS[op_type]
    return Case(
        f"{op_type} of a {op_type} over {axes}", f"m = {op_type}<keepdims=0>(x, axes) "
        f"y = {op_type}<keepdims=0>(m, last)", X,
        lambda x: twin(twin(x, tuple(axes), False), (-1,), False),
        {"axes": axes, "last": [-1]}, open=SPACE,
    )  # fmt: skip


CASES = [
    *(_reduction(op_type, axes, keep) for op_type in TWINS for axes in AXES for keep in (0, 1)),
    *(_twice(op_type, axes) for op_type in TWINS for axes in ([2], [3], [1])),
    *(
        Case(f"{op_type} over space", f"y = {op_type}(x, axes)", X,
             lambda x, twin=twin: twin(x, (2, 3), True), {"axes": [2, 3]}, open=SPACE)
        for op_type, twin in TWINS.items()
    ),
    *(
        Case(f"{op_type} over nothing",
             f"y = {op_type}<noop_with_empty_axes=1, keepdims={keep}>(x)", X,
             (lambda x: x.abs()) if op_type == "ReduceL2" else (lambda x: x))
        for op_type in TWINS
        for keep in (0, 1)
    ),
    Case("ReduceSum, empty axes", "y = ReduceSum<keepdims=0>(x, axes)", X, lambda x: x.sum(),
         {"axes": np.zeros(0, np.int64)}),
    Case("ReduceMean, opset 13's axes", "y = ReduceMean<axes=[1, 2], keepdims=0>(x)", X,
         lambda x: x.mean((1, 2)), opset=17),
    *(
        Case(f"{op_type} at a tie: shared", f"y = {op_type}<keepdims=0>(x, axes)",
             {"x": np.array([[2.0, 2.0, 2.0, 2.0]])}, lambda x, f=f: f(x, 1), {"axes": [1]},
             kink=True, expected={"x": [[0.25, 0.25, 0.25, 0.25]]})
        for op_type, f in (("ReduceMax", torch.amax), ("ReduceMin", torch.amin))
    ),
    Case("ReduceL2 of zeros", "y = ReduceL2<keepdims=0>(x, axes)",
         {"x": np.array([[0.0, 0.0], [3.0, 4.0]])}, lambda x: torch.linalg.vector_norm(x, dim=1),
         {"axes": [1]}, kink=True),
]  # fmt: skip
