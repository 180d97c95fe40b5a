"""Convolutions: every window there is, static and with open height and width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812

from support.operators.harness import BATCH, SPACE, Case, weights


def _pads(window: Sequence[int], rank: int) -> tuple[list[int], list[int]]:
    return list(window[:rank]), list(window[rank:])


def _twin(rank: int, pads: Sequence[int], groups: int, **more: Any) -> Any:
    """PyTorch's convolution; asymmetric pads are put on first."""
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    before, after = _pads(pads, rank)
    around = [n for pair in reversed(list(zip(before, after, strict=True))) for n in pair]

    def twin(x: Any, w: Any) -> Any:
        return function(F.pad(x, around), w, groups=groups, **more)

    return twin


def conv(
    name: str, space: Sequence[int], kernel: Sequence[int], *, pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None, dilations: Sequence[int] | None = None,
    channels: tuple[int, int] = (2, 3), groups: int = 1, **more: Any,
) -> Case:  # fmt: skip
    """A convolution of [N, channels[0], *space] by explicit pads."""
    rank = len(kernel)
    pads, strides = list(pads or [0] * 2 * rank), list(strides or [1] * rank)
    dilations = list(dilations or [1] * rank)
    text = f"strides={strides}, pads={pads}, dilations={dilations}, group={groups}"
    return Case(
        name, f"y = Conv<{text}>(x, w)", {"x": ("N", channels[0], *space)},
        _twin(rank, pads, groups, stride=strides, dilation=dilations),
        {"w": weights(channels[1], channels[0] // groups, *kernel)},
        open=SPACE if rank == 2 else BATCH, **more,
    )  # fmt: skip


PLAIN = [
    conv("3 x 3", (4, 5), (3, 3), pads=[1] * 4),
    conv("3 x 3 without padding", (4, 5), (3, 3)),
    conv("3 x 2, uneven pads", (4, 5), (3, 2), pads=[2, 0, 1, 1]),
    conv("1 x 1", (3, 2), (1, 1)),
    conv("1 x 1, padded", (3, 2), (1, 1), pads=[1, 0, 0, 2]),
    conv("dilated", (6, 5), (3, 2), dilations=[2, 3], pads=[2, 1, 2, 2]),
    conv("pads beyond the kernel's reach", (3, 3), (2, 2), pads=[3, 2, 2, 4]),
    conv("kernel as large as the image", (3, 4), (3, 4)),
    conv("grouped", (4, 3), (3, 3), pads=[1] * 4, channels=(4, 6), groups=2),
    conv("depthwise", (4, 3), (3, 3), pads=[1] * 4, channels=(3, 3), groups=3),
    conv("depthwise, multiplied", (4, 3), (3, 3), pads=[1] * 4, channels=(2, 4), groups=2),
    conv("grouped 1 x 1", (2, 2), (1, 1), channels=(4, 6), groups=2),
    conv("one channel", (3, 3), (2, 2), channels=(1, 1)),
]
STRIDED = [
    conv("stride 2, nothing left over", (5, 7), (3, 3), strides=[2, 2]),
    conv("stride 2, one left over", (6, 8), (3, 3), strides=[2, 2]),
    conv("stride 2, padded", (5, 6), (3, 3), strides=[2, 2], pads=[1] * 4),
    conv("stride 3, two left over", (8, 8), (3, 3), strides=[3, 3]),
    conv("stride 2 and 1", (5, 5), (3, 3), strides=[2, 1], pads=[1, 1, 0, 1]),
    conv("stride 1 and 3", (5, 7), (2, 3), strides=[1, 3], pads=[0, 2, 1, 1]),
    conv("stride beyond the kernel", (8, 7), (2, 2), strides=[3, 4]),
    conv("stride beyond the kernel, padded", (8, 7), (2, 2), strides=[3, 4], pads=[1, 1, 0, 1]),
    conv("patches", (4, 6), (2, 3), strides=[2, 3]),
    conv("stride 2, uneven pads", (6, 5), (3, 2), strides=[2, 2], pads=[0, 1, 2, 0]),
    conv("stride 2, pads beyond the reach", (4, 3), (2, 2), strides=[2, 2], pads=[3, 2, 2, 4]),
    conv("stride 2, dilated", (7, 8), (3, 2), strides=[2, 2], dilations=[2, 3], pads=[2, 1, 1, 2]),
    conv("1 x 1, stride 2", (5, 6), (1, 1), strides=[2, 2]),
    conv("1 x 1, stride 2 and 3, padded", (5, 6), (1, 1), strides=[2, 3], pads=[1, 0, 0, 2]),
    conv("1 x 1, stride 2, grouped", (4, 3), (1, 1), strides=[2, 2], channels=(4, 2), groups=2),
    conv("grouped, stride 2", (5, 4), (3, 3), strides=[2, 2], pads=[1] * 4, channels=(4, 6),
         groups=2),
    conv("depthwise, stride 2", (5, 4), (3, 3), strides=[2, 2], pads=[1] * 4, channels=(3, 3),
         groups=3),
    conv("depthwise, stride 2, multiplied", (6, 5), (3, 3), strides=[2, 2], pads=[1] * 4,
         channels=(2, 4), groups=2),
    conv("depthwise, stride 3 beyond the kernel", (7, 8), (2, 2), strides=[3, 3], channels=(2, 2),
         groups=2, pads=[1, 0, 0, 1]),
    conv("depthwise, stride 2, pads beyond the reach", (4, 3), (2, 2), strides=[2, 2],
         pads=[3, 2, 2, 4], channels=(2, 2), groups=2),
    conv("depthwise, stride 2, dilated", (7, 6), (3, 3), strides=[2, 2], dilations=[2, 1],
         pads=[2, 1, 2, 1], channels=(2, 2), groups=2),
]  # fmt: skip
OTHER_RANKS = [
    conv("1-d", (5,), (3,), pads=[1, 1]),
    conv("1-d, stride 2", (6,), (3,), strides=[2], pads=[1, 0]),
    conv("1-d, depthwise, stride 2", (6,), (3,), strides=[2], pads=[1, 1], channels=(2, 2),
         groups=2),
    conv("1-d, 1 x 1, stride 2", (5,), (1,), strides=[2]),
    conv("3-d", (3, 3, 2), (2, 3, 1), pads=[1, 1, 0, 0, 1, 0], channels=(1, 2)),
    conv("3-d, stride 2", (4, 3, 3), (2, 2, 3), strides=[2, 1, 2], pads=[0, 1, 1, 1, 0, 1],
         channels=(2, 1)),
]  # fmt: skip


def _same(auto: str, space: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> Case:
    """``auto_pad``: PyTorch knows no such thing, differences decide."""
    return Case(
        f"auto_pad {auto} of {kernel} on {space}, strides {strides}",
        f'y = Conv<auto_pad="{auto}", strides={list(strides)}>(x, w)', {"x": ("N", 1, *space)},
        constants={"w": weights(2, 1, *kernel)},
    )  # fmt: skip


def _transposed(
    name: str, space: Sequence[int], kernel: Sequence[int], text: str, twin: dict[str, Any],
    channels: tuple[int, int] = (2, 3), groups: int = 1, **more: Any,
) -> Case:  # fmt: skip
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[len(kernel)]
    return Case(
        name, f"y = ConvTranspose<group={groups}{text}>(x, w)", {"x": ("N", channels[0], *space)},
        lambda x, w: function(x, w, groups=groups, **twin),
        {"w": weights(channels[0], channels[1] // groups, *kernel)},
        open=SPACE if len(kernel) == 2 else BATCH, **more,
    )  # fmt: skip


def _resized(
    name: str, space: Sequence[int], kernel: Sequence[int], strides: Sequence[int], text: str,
    starts: Sequence[int], extents: Sequence[int], **more: Any,
) -> Case:  # fmt: skip
    """Padding that the node leaves to ONNX Runtime: its output is part of the whole, or more."""
    rank, beyond = len(kernel), 9
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[rank]

    def twin(x: Any, w: Any) -> Any:
        whole = F.pad(function(x, w, stride=strides), [0, beyond] * rank)
        inside = (slice(p, p + n) for p, n in zip(starts, extents, strict=True))
        return whole[(..., *inside)]

    return Case(
        f"transposed, {name}", f"y = ConvTranspose<strides={list(strides)}, {text}>(x, w)",
        {"x": ("N", 2, *space)}, twin, {"w": weights(2, 3, *kernel)}, reference="none",
        remark="the evaluator distributes padding otherwise than ONNX Runtime", **more,
    )  # fmt: skip


UPPER, LOWER = 'auto_pad="SAME_UPPER"', 'auto_pad="SAME_LOWER"'
RESIZED = [
    _resized("same, upper", (3, 2), (3, 4), (2, 3), UPPER, (0, 0), (6, 6), open=SPACE),
    _resized("same, lower", (3, 2), (3, 4), (2, 3), LOWER, (1, 1), (6, 6), open=SPACE),
    _resized("same, an even rest", (3, 2), (4, 3), (2, 1), UPPER, (1, 1), (6, 2), open=SPACE),
    _resized("valid", (3, 2), (3, 4), (2, 3), 'auto_pad="VALID"', (0, 0), (7, 7), open=SPACE),
    _resized("same, 1-d, strides beyond the kernel", (3,), (2,), (4,), UPPER, (0,), (10,)),
    _resized("an output_shape", (3, 2), (3, 4), (2, 3), "output_shape=[5, 4]", (1, 2), (5, 4)),
    _resized("an odd output_shape, upper", (3, 2), (3, 4), (2, 3),
             f"output_shape=[6, 4], {UPPER}", (0, 1), (6, 4)),
    _resized("an odd output_shape, lower", (3, 2), (3, 4), (2, 3),
             f"output_shape=[6, 4], {LOWER}", (1, 2), (6, 4)),
    _resized("an odd output_shape", (3, 2), (3, 4), (2, 3), "output_shape=[6, 4]", (1, 2), (6, 4)),
]  # fmt: skip

CASES = [
    *PLAIN,
    *STRIDED,
    *OTHER_RANKS,
    Case("with a bias", "y = Conv(x, w, b)", {"x": ("N", 2, 3, 3)},
         lambda x, w, b: F.conv2d(x, w) + b.reshape(-1, 1, 1),
         {"w": weights(3, 2, 2, 2), "b": weights(3)}),
    Case("opset 22", "y = Conv<strides=[2, 2]>(x, w)", {"x": ("N", 2, 4, 4)},
         lambda x, w: F.conv2d(x, w, stride=2), {"w": weights(3, 2, 2, 2)}, opset=22),
    *(_same(auto, (5, 4), (3, 2), (1, 1)) for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    *(_same(auto, (5, 6), (2, 3), (2, 3)) for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    *(_same(auto, (6, 5), (3, 2), (2, 2)) for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    _transposed("transposed", (3, 2), (3, 2), "", {}),
    _transposed("transposed, stride 2", (3, 2), (3, 3), ", strides=[2, 2], pads=[1, 1, 1, 1]",
                {"stride": 2, "padding": 1}),
    _transposed("transposed, output_padding", (2, 3), (3, 3),
                ", strides=[2, 3], pads=[1, 0, 1, 0], output_padding=[1, 2]",
                {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)}),
    _transposed("transposed, grouped", (2, 3), (2, 3), ", strides=[2, 1]", {"stride": (2, 1)},
                channels=(4, 6), groups=2),
    _transposed("transposed, depthwise", (2, 2), (2, 2), ", strides=[2, 2]", {"stride": 2},
                channels=(3, 3), groups=3),
    _transposed("transposed, dilated", (3, 2), (2, 2), ", dilations=[2, 3]", {"dilation": (2, 3)}),
    _transposed("transposed, 1-d", (3,), (3,), ", strides=[2]", {"stride": 2}),
    _transposed("transposed, 3-d", (2, 2, 1), (2, 1, 2), ", strides=[2, 1, 2]",
                {"stride": (2, 1, 2)}, channels=(1, 2)),
    *RESIZED,
    Case("transposed, uneven pads", "y = ConvTranspose<strides=[2], pads=[0, 2]>(x, w)",
         {"x": ("N", 2, 3)}, constants={"w": weights(2, 1, 3)}),
    Case("dynamic weights", "w2 = Add(w, w) y = Conv(x, w2)", {"x": ("N", 2, 3, 3)},
         lambda x, w: F.conv2d(x, 2 * w), {"w": weights(3, 2, 2, 2)}),
]  # fmt: skip
