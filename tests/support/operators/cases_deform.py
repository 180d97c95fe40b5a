"""Deformable convolutions: offsets far outside and on cells, masks, groups, strides, dilations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision.ops import deform_conv2d

from support.operators.harness import Case, values, weights

ROUNDED = "the reference evaluator computes places in float32, ONNX Runtime no Conv in float64"


def _deform(
    name: str,
    x: tuple[int | str, ...],
    w: tuple[int, ...],
    places: tuple[int, int],
    *,
    mask: bool = False,
    bias: bool = False,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    pads: tuple[int, int] = (0, 0),
    group: int = 1,
    offset_group: int = 1,
    span: tuple[float, float] = (-3.0, 3.0),
    **more: Any,
) -> Case:
    """A case by what the node has; the offsets and the mask are inputs."""
    text = (
        f"strides={list(strides)}, dilations={list(dilations)}, pads={[*pads, *pads]}, "
        f"group={group}, offset_group={offset_group}"
    )
    cells = offset_group * w[2] * w[3]
    inputs: dict[str, Any] = {"x": x, "o": (x[0], 2 * cells, *places)}
    if mask:
        inputs["m"] = (x[0], cells, *places)
    constants = {"w": weights(*w), **({"b": weights(w[0])} if bias else {})}

    fixed = {name: torch.tensor(array.astype(np.float32).astype(np.float64))
             for name, array in constants.items()}  # fmt: skip

    def masked(x: torch.Tensor, o: torch.Tensor, m: torch.Tensor | None) -> torch.Tensor:
        return deform_conv2d(x, o, fixed["w"], fixed.get("b"), strides, pads, dilations, m)

    def plain(x: torch.Tensor, o: torch.Tensor) -> torch.Tensor:
        return masked(x, o, None)

    return Case(
        f"deformed, {name}",
        f"y = DeformConv<{text}>(x, w, o, {'b' if bias else ''}, {'m' if mask else ''})"
        .replace(", , )", ")"),
        inputs,
        masked if mask else plain,
        constants, span, opset=19, reference="none", remark=ROUNDED,
        **more,
    )  # fmt: skip


def _plain(x: torch.Tensor, o: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return deform_conv2d(x, o, w)


X = ("N", 2, 5, 4)
CASES = [
    _deform("3 x 2", X, (3, 2, 3, 2), (3, 3)),
    _deform("padded, masked and with a bias", X, (3, 2, 3, 3), (5, 4), mask=True, bias=True,
            pads=(1, 1), open=((0,), (0, 2))),
    _deform("a kernel of one cell", X, (3, 2, 1, 1), (5, 4)),
    _deform("strided", ("N", 2, 6, 5), (2, 2, 2, 2), (3, 4), strides=(2, 1)),
    _deform("strided, dilated and padded", ("N", 2, 6, 5), (2, 2, 2, 3), (3, 3), strides=(2, 1),
            dilations=(2, 2), pads=(1, 1)),
    _deform("dilated", ("N", 2, 5, 6), (2, 2, 2, 3), (3, 2), dilations=(2, 2), bias=True),
    _deform("groups", ("N", 4, 3, 4), (6, 2, 2, 2), (2, 3), group=2),
    _deform("offset groups", ("N", 4, 3, 4), (3, 4, 2, 2), (2, 3), offset_group=2, mask=True),
    _deform("both groups", ("N", 8, 3, 3), (4, 4, 2, 2), (2, 2), group=2, offset_group=4,
            mask=True),
    _deform("depthwise", ("N", 3, 3, 4), (3, 1, 2, 2), (2, 3), group=3),
    _deform("far outside", X, (1, 2, 2, 2), (4, 3), span=(-12.0, 12.0), mask=True),
    Case("deformed, on cells and beyond the border", "y = DeformConv(x, w, o)",
         {"x": values("image", (1, 1, 3, 3), -2.0, 2.0),
          "o": np.array([-3.0, -2, -1, 0, 1, 2, 3, 4] * 4).reshape(1, 8, 2, 2)},
         _plain, {"w": weights(2, 1, 2, 2)}, opset=19, kink=True,
         reference="none", remark=ROUNDED),
]  # fmt: skip
