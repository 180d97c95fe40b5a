"""Pooling: which place a maximum is at, and how many cells a mean is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import BATCH, SPACE, Case

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def maximum(
    name: str, space: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    pads: Sequence[int] | None = None, dilations: Sequence[int] | None = None, *,
    ceil: bool = False, **more: Any,
) -> Case:  # fmt: skip
    """MaxPool with the same padding on both sides."""
    rank = len(kernel)
    pads, dilations = list(pads or [0] * rank), list(dilations or [1] * rank)
    text = (
        f"kernel_shape={list(kernel)}, strides={list(strides)}, pads={pads + pads}, "
        f"dilations={dilations}, ceil_mode={int(ceil)}"
    )
    return Case(
        name, f"y = MaxPool<{text}>(x)", {"x": ("N", 2, *space)},
        lambda x: MAX[rank](
            x, list(kernel), list(strides), pads, dilation=dilations, ceil_mode=ceil
        ),
        open=SPACE if rank == 2 else BATCH, **more,
    )  # fmt: skip


def mean(
    name: str, space: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    pads: Sequence[int] | None = None, *, ceil: bool = False, include: bool = False, **more: Any,
) -> Case:  # fmt: skip
    """AveragePool with the same padding on both sides."""
    rank = len(kernel)
    pads = list(pads or [0] * rank)
    text = (
        f"kernel_shape={list(kernel)}, strides={list(strides)}, pads={pads + pads}, "
        f"count_include_pad={int(include)}, ceil_mode={int(ceil)}"
    )
    return Case(
        name, f"y = AveragePool<{text}>(x)", {"x": ("N", 2, *space)},
        lambda x: MEAN[rank](x, list(kernel), list(strides), pads, ceil, include), **more,
    )  # fmt: skip


def _both(name: str, *args: Any, **more: Any) -> list[Case]:
    return [
        mean(f"{name}, {title}", *args, include=include, **more)
        for include, title in ((False, "padding not counted"), (True, "padding counted"))
    ]


INDICES = "the reference evaluator's indices are wrong at stride 1 with padding"
TIES = np.array([[[[0.0, 0, 0], [0, 0, 0], [0, 0, 1]]]])

CASES = [
    maximum("max 2 x 2", (4, 6), (2, 2), (2, 2)),
    maximum("max 2 x 2 with remainder", (5, 7), (2, 2), (2, 2)),
    maximum("max, overlapping", (5, 4), (3, 3), (1, 1), (1, 1), reference="forward",
            remark=INDICES),
    maximum("max 3 x 3, stride 2", (6, 5), (3, 3), (2, 2), (1, 1)),
    maximum("max, stride beyond the kernel", (7, 8), (2, 2), (3, 4)),
    maximum("max, dilated", (6, 7), (2, 3), (1, 2), (1, 1), (3, 2)),
    maximum("max, ceil_mode", (5, 6), (2, 3), (2, 2), ceil=True),
    maximum("max, ceil_mode, padded", (6, 5), (3, 3), (2, 2), (1, 1), ceil=True),
    maximum("max of negative numbers, padded", (4, 4), (3, 3), (2, 2), (1, 1), span=(-3, -1)),
    maximum("max, 1-d", (6,), (3,), (2,), (1,)),
    maximum("max, 3-d", (3, 4, 2), (2, 2, 2), (1, 2, 1)),
    maximum("max, opset 22", (4, 4), (2, 2), (2, 2), opset=22),
    *(
        Case(f"max, auto_pad {auto}",
             f'y = MaxPool<auto_pad="{auto}", kernel_shape=[3, 2], strides=[2, 2]>(x)',
             {"x": ("N", 1, 4, 5)},
             lambda x, pads=pads: F.max_pool2d(F.pad(x, pads, value=-1e9), (3, 2), 2),
             reference="none", remark="the reference evaluator places SAME_LOWER's padding wrongly")
        for auto, pads in (("SAME_UPPER", (0, 1, 0, 1)), ("SAME_LOWER", (1, 0, 1, 0)),
                           ("VALID", (0, 0, 0, 0)))
    ),
    Case("max, asymmetric pads", "y = MaxPool<kernel_shape=[3], pads=[2, 0], strides=[2]>(x)",
         {"x": ("N", 2, 5)}, lambda x: F.max_pool1d(F.pad(x, (2, 0), value=-1e9), 3, 2)),
    Case("max, tied: the first place", "y = MaxPool<kernel_shape=[2, 2], strides=[1, 1]>(x)",
         {"x": TIES}, lambda x: F.max_pool2d(x, 2, 1), kink=True,
         expected={"x": [[[[1, 1, 0], [1, 0, 0], [0, 0, 1]]]]}),
    Case("max, tied zeros and padding: never the padding",
         "y = MaxPool<kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]>(x)", {"x": TIES},
         lambda x: F.max_pool2d(x, 2, 2, 1), kink=True,
         expected={"x": [[[[1, 1, 0], [1, 0, 0], [0, 0, 1]]]]}),
    Case("max of equal negative numbers, padded",
         "y = MaxPool<kernel_shape=[3], pads=[1, 1]>(x)", {"x": np.full((1, 1, 4), -2.0)},
         lambda x: F.max_pool1d(x, 3, 1, 1), kink=True, reference="forward", remark=INDICES,
         expected={"x": [[[2, 1, 1, 0]]]}),
    mean("mean 2 x 2", (4, 6), (2, 2), (2, 2), open=SPACE),
    mean("mean 2 x 3 with remainder", (5, 8), (2, 3), (2, 3), open=SPACE),
    mean("mean of single cells", (3, 2), (1, 1), (1, 1), open=SPACE),
    mean("mean, overlapping", (5, 4), (3, 2), (1, 1), open=SPACE),
    mean("mean, overlapping, stride 2", (6, 7), (3, 3), (2, 2), open=SPACE),
    mean("mean, stride beyond the kernel", (8, 7), (2, 2), (3, 4), open=SPACE),
    mean("mean, single cells, stride 2", (4, 5), (1, 1), (2, 2), open=SPACE),
    mean("mean, padding counted", (5, 6), (3, 3), (2, 1), (1, 1), include=True, open=SPACE),
    *_both("mean, padded", (5, 4), (3, 3), (1, 1), (1, 1), open=SPACE),
    *_both("mean, padded, stride 2", (5, 6), (3, 2), (2, 2), (1, 1), open=SPACE),
    *_both("mean, ceil_mode", (5, 6), (2, 3), (2, 2), ceil=True, open=SPACE),
    *_both("mean, ceil_mode with remainder", (5, 7), (2, 2), (2, 2), ceil=True, open=SPACE),
    *_both("mean, ceil_mode, padded", (6, 5), (3, 3), (2, 2), (1, 1), ceil=True, open=SPACE),
    *_both("mean, 1-d", (6,), (3,), (2,), (1,)),
    *_both("mean, 3-d", (3, 2, 4), (2, 2, 2), (1, 2, 2), (1, 0, 1)),
    *(
        Case(f"mean, auto_pad {auto}, count_include_pad {include}",
             f'y = AveragePool<auto_pad="{auto}", kernel_shape=[3, 2], strides=[2, 2], '
             f"count_include_pad={include}>(x)", {"x": ("N", 1, 4, 5)})
        for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")
        for include in (0, 1)
    ),
    *(
        Case(f"mean, asymmetric pads, count_include_pad {include}",
             f"y = AveragePool<kernel_shape=[3, 3], pads=[2, 0, 1, 1], strides=[1, 2], "
             f"count_include_pad={include}>(x)", {"x": ("N", 1, 4, 5)}, open=SPACE)
        for include in (0, 1)
    ),
    *(
        Case(f"mean, dilated {text}", f"y = AveragePool<kernel_shape=[3, 2], dilations=[2, 3]"
             f"{text}>(x)", {"x": ("N", 1, 7, 6)}, opset=19, open=SPACE)
        for text in ("", ", strides=[2, 1]", ", pads=[1, 1, 1, 1]",
                     ", pads=[1, 1, 1, 1], count_include_pad=1", ", strides=[2, 2], ceil_mode=1")
    ),
    mean("mean, opset 22", (5, 4), (3, 3), (1, 1), (1, 1), opset=22),
    Case("global mean", "y = GlobalAveragePool(x)", {"x": ("N", 2, 3, 4)},
         lambda x: x.mean((2, 3), keepdim=True), open=SPACE),
    Case("global mean, 1-d", "y = GlobalAveragePool(x)", {"x": ("N", 2, 3)},
         lambda x: x.mean(2, keepdim=True), open=((0,), (0, 2))),
]  # fmt: skip
