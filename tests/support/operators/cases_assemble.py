"""Windows and places put together to images, images cut to size, elements left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case


def _fold(
    image: Sequence[int], block: Sequence[int], strides: int = 1, dilations: int = 1, pads: int = 0
) -> Case:
    windows = [
        (extent + 2 * pads - dilations * (k - 1) - 1) // strides + 1
        for extent, k in zip(image, block, strict=True)
    ]
    rank = len(image)
    text = f"strides={[strides] * rank}, dilations={[dilations] * rank}, pads={[pads] * 2 * rank}"
    return Case(
        f"fold to {list(image)}, windows of {list(block)}, stride {strides}, dilation "
        f"{dilations}, padding {pads}",
        f"y = Col2Im<{text}>(x, image, block)",
        {"x": ("N", 2 * int(np.prod(block)), int(np.prod(windows)))},
        (lambda x: F.fold(x, image, block, dilations, pads, strides)) if rank == 2 else None,
        {"image": image, "block": block},
    )  # fmt: skip


def _unpool(x: torch.Tensor, i: torch.Tensor, extent: int) -> torch.Tensor:
    whole = torch.zeros(x.shape[0] * x.shape[1] * extent**2, dtype=x.dtype)
    return whole.index_put((i.reshape(-1),), x.reshape(-1)).reshape(*x.shape[:2], extent, extent)


def _centre(shape: tuple[int | str, ...], target: Sequence[int], axes: str = "") -> Case:
    return Case(f"centre {shape} to {list(target)}{axes}", f"y = CenterCropPad{axes}(x, target)",
                {"x": shape}, constants={"target": target})  # fmt: skip


def _compress(name: str, chosen: Sequence[bool], twin: Any, text: str = "", **more: Any) -> Case:
    return Case(f"compress, {name}", f"y = Compress{text}(x, chosen)", {"x": (3, 2, 4)}, twin,
                {"chosen": np.array(chosen, bool)}, **more)  # fmt: skip


# Nor does ONNX Runtime from opset 22 on.
NORMS = "the reference evaluator does not have it"
ODD = [True, False, True]
POOL = "v, i = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x) "
CASES = [
    _fold((4, 6), (2, 2), strides=2),
    _fold((4, 5), (3, 2)),
    _fold((5, 4), (2, 3), pads=1),
    _fold((6, 7), (2, 3), strides=2, dilations=2, pads=2),
    _fold((5, 5), (2, 2), strides=3),
    _fold((5, 4), (1, 1)),
    Case("fold by default, uneven padding",
         "y = Col2Im<pads=[1, 0, 0, 2]>(x, image, block)", {"x": ("N", 4, 15)},
         lambda x: F.fold(x, (4, 6), (2, 2))[..., 1:, :4], {"image": [3, 4], "block": [2, 2]}),
    Case("fold of a line", "y = Col2Im(x, image, block)", {"x": ("N", 4, 3)},
         lambda x: F.fold(x, (1, 4), (1, 2))[:, :, 0], {"image": [4], "block": [2]}),
    Case("fold to volumes", "y = Col2Im<strides=[1, 2, 1]>(x, image, block)", {"x": ("N", 8, 8)},
         constants={"image": [3, 4, 3], "block": [2, 2, 2]}),
    Case("unpool what was pooled", POOL +
         "y = MaxUnpool<kernel_shape=[2, 2], strides=[2, 2]>(v, i)", {"x": ("N", 2, 4, 6)},
         lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
    Case("unpool, several values to one place",
         "y = MaxUnpool<kernel_shape=[2, 2]>(x, i)", {"x": (1, 2, 2, 2)},
         constants={"i": np.array([[[[4, 4], [7, 2]], [[9, 13], [13, 17]]]])},
         twin=lambda x, i: _unpool(x, i, 3), kink=True),
    *(
        _centre(("N", 2, 5, 4), target, "<axes=[2, 3]>")
        for target in ((3, 7), (2, 4), (8, 1), (4, 9))
    ),
    _centre(("N", 5, 2), [8], "<axes=[-2]>"),
    _centre((3, 4), [5, 1]),
    _compress("rows", ODD, lambda x: x[[0, 2]], "<axis=0>"),
    _compress("a shorter condition", [False, True], lambda x: x[:, :, [1]], "<axis=-1>"),
    _compress("nothing", [False] * 4, lambda x: x[:, :, :0], "<axis=2>"),
    _compress("elements", [True, False, False, True, True], lambda x: x.reshape(-1)[[0, 3, 4]]),
    Case("compress, chosen at run time", "s = ReduceSum<keepdims=0>(x, last) "
         "c = Greater(s, zero) y = Compress<axis=0>(x, c)", {"x": (4, 3)},
         lambda x: x[x.sum(1) > 0], {"last": [1], "zero": 0.0}),
    *(
        Case(f"global norm, p = {p}", f"y = GlobalLpPool<p={p}>(x)", {"x": ("N", 2, 3, 4)},
             lambda x, p=p: torch.linalg.vector_norm(x, p, (2, 3), keepdim=True), open=SPACE,
             opset=21, reference="none", remark=NORMS)
        for p in (1, 2, 3)
    ),
    Case("global norm of zeros", "y = GlobalLpPool(x)", {"x": np.zeros((1, 1, 2, 2))},
         lambda x: 0 * x.sum((2, 3), keepdim=True), kink=True,
         opset=21, reference="none", remark=NORMS),
]  # fmt: skip
