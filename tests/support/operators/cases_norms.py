"""Normalisations by a norm, a root mean square, or neighbouring channels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import BATCH, SPACE, Case, weights

X = {"x": ("N", 2, 3, 4)}
LOOSE = 1e-7  # attributes are float32


def _standardised(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)


def _responses(
    x: torch.Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> torch.Tensor:
    squares = x * x
    total = torch.zeros_like(x)
    for channel in range(x.shape[1]):
        first = max(0, channel - (size - 1) // 2)
        last = min(x.shape[1], channel + size // 2 + 1)
        window = squares[:, first:last].sum(1, keepdim=True)
        total = torch.cat([total[:, :channel], window, total[:, channel + 1 :]], 1)
    return x / (bias + alpha / size * total) ** beta


def _unit(x: torch.Tensor, p: int, axis: int) -> torch.Tensor:
    return x / torch.linalg.vector_norm(x, p, axis, keepdim=True)


CASES = [
    *(
        Case(f"norm p = {p}, axis {axis}", f"y = LpNormalization<p={p}, axis={axis}>(x)", X,
             lambda x, p=p, axis=axis: _unit(x, p, axis), open=SPACE,
             reference="all" if p == 2 and axis else "none",
             remark="" if p == 2 and axis
             else "the reference evaluator forgets absolute values and axis 0")
        for p in (1, 2)
        for axis in (1, 2, -1, -3)
    ),
    Case("norm over the first axis", "y = LpNormalization<axis=0>(x)", {"x": (3, 2)},
         lambda x: _unit(x, 2, 0), reference="none",
         remark="the reference evaluator takes the last axis"),
    Case("norm by default", "y = LpNormalization(x)", X, lambda x: _unit(x, 2, -1)),
    *(
        Case(f"norm of zeros, p = {p}", f"y = LpNormalization<p={p}, axis=1>(x)",
             {"x": np.array([[0.0, 0.0], [3.0, 4.0]])},
             lambda x, p=p: F.normalize(x, p, 1, eps=1e-12) * x.ne(0), kink=True,
             reference="none", remark="the gradient of 0 / 0 is a convention")
        for p in (1, 2)
    ),
    *(
        Case(f"standardised over {axes}", f"y = MeanVarianceNormalization<axes={axes}>(x)", X,
             lambda x, axes=axes: _standardised(x, tuple(axes)), open=SPACE, float32=1e-4,
             reference="none", remark="the evaluator has the function in float32 only")
        for axes in ([0, 2, 3], [2, 3], [1, 2, 3], [3], [0, -1])
    ),
    *(
        Case(f"root mean square from axis {axis}",
             f"y = RMSNormalization<axis={axis}, epsilon=0.03125>(x, s)", {"x": ("N", 3, 4)},
             lambda x, s: F.rms_norm(x, s.shape, s, 0.03125), {"s": weights(*shape)}, opset=23,
             open=((0,), (0, 1)) if axis in (2, -1) else BATCH)
        for axis, shape in ((-1, (4,)), (2, (4,)), (1, (3, 4)), (-2, (3, 4)))
    ),
    Case("root mean square by default", "y = RMSNormalization(x, s)", {"x": ("N", 3)},
         lambda x, s: F.rms_norm(x, (3,), s, 1e-5), {"s": weights(3)}, opset=23, loose=LOOSE),
    *(
        Case(f"local responses, {size} of {channels} channels",
             f"y = LRN<size={size}, alpha=2.0, beta=0.75, bias=1.5>(x)",
             {"x": ("N", channels, 2, 3)},
             lambda x, size=size: _responses(x, size, 2.0, 0.75, 1.5), open=SPACE,
             reference="none", remark="the reference evaluator counts channels by the batch")
        for channels, size in ((5, 3), (4, 5), (3, 1), (2, 7))
    ),
    Case("local responses as PyTorch's", "y = LRN<size=3, alpha=1.5, beta=0.5, bias=2.0>(x)",
         {"x": ("N", 4, 2, 3)}, lambda x: F.local_response_norm(x, 3, 1.5, 0.5, 2.0), open=SPACE,
         reference="none", remark="the reference evaluator counts channels by the batch"),
    Case("local responses by default", "y = LRN<size=3>(x)", {"x": ("N", 4, 2, 3)},
         lambda x: _responses(x, 3), reference="none", span=(-30, 30),
         remark="the reference evaluator counts channels by the batch"),
]  # fmt: skip
