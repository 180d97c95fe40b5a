"""Einstein sums, and pooling by a norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case, Shape, weights


def _einsum(equation: str, inputs: Mapping[str, Shape], **more: Any) -> Case:
    return Case(
        f"einsum {equation}", f'y = Einsum<equation="{equation}">({", ".join(inputs)})', inputs,
        lambda *tensors: torch.einsum(equation, *tensors), **more,
    )  # fmt: skip


def _norms(x: torch.Tensor, p: int, kernel: tuple[int, int], stride: int) -> torch.Tensor:
    area = kernel[0] * kernel[1]
    return (F.avg_pool2d(x.abs() ** p, kernel, stride) * area) ** (1 / p)


PAIR = {"a": ("N", 2, 3), "b": ("N", 3, 4)}
PADDED = "the reference evaluator counts the padding"

CASES = [
    *(
        _einsum(equation, PAIR)
        for equation in ("bij,bjk->bik", "bij,bjk->bki", "bij,bjk->kjb", "bij,bjk->ik",
                         "bij,bjk->bijk", "bij,bjk->b", "bij,bjk->", "bij, bjk -> b k",
                         "bij,bjk")
    ),
    _einsum("bhij,bhkj->bhik", {"a": ("N", 2, 3, 4), "b": ("N", 2, 2, 4)}),
    _einsum("bhwc,hkc->bhwk", {"a": ("N", 2, 3, 4), "b": (2, 5, 4)}),
    _einsum("ab,cd->ac", {"a": ("N", 2), "b": (3, 4)}),
    _einsum("ab,b->a", {"a": ("N", 3), "b": (3,)}),
    _einsum("ab,ab->ab", {"a": ("N", 3), "b": ("N", 3)}),
    _einsum("ab->ba", {"a": ("N", 3)}),
    _einsum("abc->b", {"a": ("N", 3, 2)}),
    _einsum("ab,bc,cd->ad", {"a": ("N", 2), "b": (2, 3), "c": (3, 4)}),
    _einsum("...ij,...jk->...ik", {"a": ("N", 2, 3, 4), "b": ("N", 2, 4, 2)}),
    _einsum("...ij,jk->...ik", {"a": ("N", 2, 3), "b": (3, 2)}),
    _einsum("b...,bc...->c...", {"a": ("N", 3, 2), "b": ("N", 2, 3, 2)}),
    _einsum("i...->...", {"a": (3, 2, 2)}),
    _einsum("...ij,...jk", {"a": ("N", 1, 3, 4), "b": (1, 2, 4, 2)}),
    _einsum("...i,...i->...", {"a": ("N", 3, 4), "b": (1, 3, 4)}),
    _einsum("bij,bij->bij", {"a": ("N", 3, 4), "b": ("N", 3, 1)}),
    _einsum("bij,bkj->b", {"a": ("N", 1, 4), "b": ("N", 3, 1)}),
    _einsum("bii->bi", {"a": ("N", 3, 3)}),
    _einsum("bii->b", {"a": ("N", 3, 3)}),
    _einsum("bii,bij->bj", {"a": ("N", 3, 3), "b": ("N", 3, 2)}),
    _einsum("iii->i", {"a": (3, 3, 3)}),
    Case("einsum with a constant", 'y = Einsum<equation="bij,jk->bik">(x, w)',
         {"x": ("N", 2, 3)}, lambda x, w: x @ w, {"w": weights(3, 4)}),
    Case("einsum of a constant", 'y = Einsum<equation="kj,bji->bki">(w, x)',
         {"x": ("N", 3, 2)}, lambda x, w: w @ x, {"w": weights(4, 3)}),
    Case("einsum of a value with itself", 'y = Einsum<equation="bi,bj->bij">(x, x)',
         {"x": ("N", 3)}, lambda x: x[:, :, None] * x[:, None, :]),
    *(
        Case(f"norm pool, p = {p}, {kernel[0]} x {kernel[1]}, stride {stride}",
             f"y = LpPool<kernel_shape={list(kernel)}, strides=[{stride}, {stride}], p={p}>(x)",
             {"x": ("N", 2, 4, 5)},
             lambda x, p=p, kernel=kernel, stride=stride: _norms(x, p, kernel, stride), open=SPACE)
        for p in (1, 2, 3)
        for kernel, stride in (((2, 2), 2), ((3, 2), 1), ((2, 3), 3))
    ),
    Case("norm pool, padded", "y = LpPool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x)",
         {"x": ("N", 1, 4, 3)}, lambda x: _norms(F.pad(x, (1, 1, 1, 1)), 2, (3, 3), 1),
         open=SPACE, reference="none", remark=PADDED),
    Case("norm pool of zeros", "y = LpPool<kernel_shape=[1, 2], strides=[1, 2]>(x)",
         {"x": np.array([[[[0.0, 0.0, 3.0, 4.0]]]])}, kink=True, reference="none",
         twin=lambda x: torch.cat([x[..., :1] * 0, x[..., 2:].norm(dim=-1, keepdim=True)], -1),
         remark="the gradient of a norm at zero is a convention",
         expected={"x": [[[[0, 0, np.float32(0.6), np.float32(0.8)]]]]}),
]  # fmt: skip
