"""Quantisers, compared with PyTorch's fake quantisation.

Scales are Constant nodes: they stay float32 in the float64 graphs too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from support.operators.harness import SPACE, Array, Case

X = {"x": ("N", 2, 3, 4)}
STAIRCASE = "a staircase: its differences are 0 or infinite"
ENDS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
FLOAT = "Cast<to=1>(x)"
BACK = "y = Cast<to=FLOAT>(d)"


def _line(x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, kind: str) -> torch.Tensor:
    """The staircase with the slope of the line it follows, 0 at the ends of the type."""
    low, high = ENDS[kind]
    code = (torch.round(x / scale) + zero).clamp(low, high)
    inside = (code > low) & (code < high)
    steps = ((code - zero) * scale).detach()
    return steps + torch.where(inside, x - x.detach(), torch.zeros_like(x))


def _per_tensor(kind: str, scale: float, zero: int, body: str = "u = Identity(q)") -> Case:
    return Case(
        f"{kind} per tensor, zero point {zero}, {body}",
        f"f = {FLOAT} s = Constant<value_float={scale}>() q = QuantizeLinear(f, s, z) {body} "
        f"d = DequantizeLinear(u, s, z) {BACK}", X,
        lambda x: _line(x, torch.tensor(scale), torch.tensor(zero), kind),
        {"z": np.array(zero, kind)}, open=SPACE, reference="none", remark=STAIRCASE,
        opset=21 if "16" in kind else 18,
    )  # fmt: skip


def _per_channel(axis: int, at: str) -> Case:
    scales = torch.tensor([0.015625, 0.0625]).reshape(1, 2, 1, 1)
    return Case(
        f"int8 per channel, axis {at}",
        f"f = {FLOAT} s = Constant<value_floats=[0.015625, 0.0625]>() "
        f"q = QuantizeLinear<axis={axis}>(f, s, z) d = DequantizeLinear<axis={axis}>(q, s, z) "
        f"{BACK}", X,
        lambda x: _line(x, scales, torch.tensor([3, -5]).reshape(1, 2, 1, 1), "int8"),
        {"z": np.array([3, -5], np.int8)}, reference="none", remark=STAIRCASE,
    )  # fmt: skip


def _moved(
    name: str, body: str, twin: Callable[[torch.Tensor], torch.Tensor], **constants: Array
) -> Case:
    def moved(x: torch.Tensor) -> torch.Tensor:
        return twin(_line(x, torch.tensor(0.03125), torch.tensor(4), "int8"))

    return Case(
        f"codes, {name}",
        f"f = {FLOAT} s = Constant<value_float=0.03125>() q = QuantizeLinear(f, s, z) {body} "
        f"d = DequantizeLinear(u, s, z) {BACK}", X, moved,
        {"z": np.array(4, np.int8), **constants}, reference="none", remark=STAIRCASE,
    )  # fmt: skip


CASES = [
    _per_tensor("int8", 0.03125, 0),
    _per_tensor("int8", 0.015625, 10),  # cuts off below -2.15 and above 1.83
    _per_tensor("uint8", 0.03125, 128),
    _per_tensor("uint8", 0.0078125, 0),  # a ReLU in the range: half of the values are cut off
    _per_tensor("int8", 0.3, 0),  # a scale whose inverse is not exact
    _per_tensor("int16", 0.001, -5),
    _per_tensor("uint16", 0.0001, 30000),
    Case("as PyTorch's fake quantisation, where no code ends the range",
         f"f = {FLOAT} s = Constant<value_float=0.0125>() q = QuantizeLinear(f, s, z) "
         f"d = DequantizeLinear(q, s, z) {BACK}", X,
         lambda x: torch.fake_quantize_per_tensor_affine(x.float(), 0.0125, 7, -128, 127).double(),
         {"z": np.array(7, np.int8)}, reference="none", remark=STAIRCASE),
    _per_channel(1, "1"),
    _per_channel(-3, "-3"),
    Case("no zero point: uint8",
         f"f = {FLOAT} s = Constant<value_float=0.015625>() q = QuantizeLinear(f, s) "
         f"d = DequantizeLinear(q, s) {BACK}", X,
         lambda x: _line(x, torch.tensor(0.015625), torch.tensor(0), "uint8"),
         reference="none", remark=STAIRCASE),
    Case("a scale computed at run time",
         f"f = {FLOAT} m = ReduceMax<keepdims=0>(f) h = Constant<value_float=100.0>() "
         "e = Floor(m) s = Div(e, h) "
         f"q = QuantizeLinear(f, s, z) d = DequantizeLinear(q, s, z) {BACK}",
         {"x": (2, 3, 4)}, lambda x: _line(x, torch.floor(x.max()).detach() / 100,
                                           torch.tensor(0), "int8"),
         {"z": np.array(0, np.int8)}, reference="none", remark=STAIRCASE),
    Case("read twice, with two scales",
         f"f = {FLOAT} s = Constant<value_float=0.03125>() t = Constant<value_float=0.5>() "
         "q = QuantizeLinear(f, s, z) a = DequantizeLinear(q, s, z) b = DequantizeLinear(q, t, z) "
         f"d = Mul(a, b) {BACK}", X,
         lambda x: 16 * _line(x, torch.tensor(0.03125), torch.tensor(0), "int8") ** 2,
         {"z": np.array(0, np.int8)}, reference="none", remark=STAIRCASE),
    Case("at the ends and beside them", f"f = {FLOAT} s = Constant<value_float=0.5>() "
         f"q = QuantizeLinear(f, s, z) d = DequantizeLinear(q, s, z) {BACK}",
         {"x": np.array([-70.0, -64.0, -63.5, 0.0, 63.0, 63.5, 70.0])},
         lambda x: _line(x, torch.tensor(0.5), torch.tensor(0), "int8"),
         {"z": np.array(0, np.int8)}, kink=True, reference="none", remark=STAIRCASE,
         expected={"x": [0, 0, 1, 1, 1, 0, 0]}),
    _moved("transposed", "u = Transpose<perm=[0, 2, 3, 1]>(q)", lambda y: y.permute(0, 2, 3, 1)),
    _moved("flattened", "u = Flatten(q)", lambda y: y.flatten(1)),
    _moved("reshaped", "u = Reshape(q, to)", lambda y: y.reshape(-1, 6, 4),
           to=np.array([-1, 6, 4])),
    _moved("an axis more and less", "v = Unsqueeze(q, one) u = Squeeze(v, one)", lambda y: y,
           one=np.array([1])),
    _moved("pooled", "u = MaxPool<kernel_shape=[2, 2]>(q)",
           lambda y: torch.nn.functional.max_pool2d(y, 2, 1)),
    _moved("joined", "u = Concat<axis=1>(q, q)", lambda y: torch.cat([y, y], 1)),
    _moved("cut", "u = Slice(q, one, three, axes)", lambda y: y[:, :, 1:3],
           one=np.array([1]), three=np.array([3]), axes=np.array([2])),
    _moved("split, one part unused", "u, v = Split<axis=3, num_outputs=2>(q)",
           lambda y: y[..., :2]),
    _moved("padded with the zero point", "u = Pad(q, widths, z)",
           lambda y: torch.nn.functional.pad(y, (1, 0, 0, 2)),
           widths=np.array([0, 0, 0, 1, 0, 0, 2, 0])),
]  # fmt: skip
