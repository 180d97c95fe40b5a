"""Resize: every mode and coordinate transformation that has a rule, up and down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case

X = {"x": ("N", 2, 4, 5)}
UP, DOWN, MIXED = (7, 10), (3, 2), (9, 3)


def _torch(mode: str, sizes: Sequence[int], corners: bool, antialias: bool = False) -> Any:
    def twin(x: torch.Tensor) -> torch.Tensor:
        aligned = None if mode == "nearest" else corners
        return F.interpolate(x, list(sizes), mode=mode, align_corners=aligned, antialias=antialias)

    return twin


def _by_size(
    mode: str, coordinates: str, sizes: Sequence[int], twin: Any = None, extra: str = "",
    **more: Any,
) -> Case:  # fmt: skip
    return Case(
        f"resize to {list(sizes)}, {mode}, {coordinates}{extra}",
        f'y = Resize<axes=[2, 3], mode="{mode}", '
        f'coordinate_transformation_mode="{coordinates}"{extra}>(x, , , sizes)', X, twin,
        {"sizes": sizes}, **more,
    )  # fmt: skip


def _by_scale(mode: str, coordinates: str, scales: Sequence[float]) -> Case:
    return Case(
        f"resize by {list(scales)}, {mode}, {coordinates}",
        f'y = Resize<mode="{mode}", coordinate_transformation_mode="{coordinates}", '
        'nearest_mode="floor">(x, , scales)', X,
        lambda x: F.interpolate(x, scale_factor=list(scales[2:]), mode=NAMES[mode],
                                recompute_scale_factor=False),
        {"scales": scales}, open=SPACE,
    )  # fmt: skip


KERNEL = "the rule takes the weights of ONNX Runtime's kernel, which has them in float32"
NAMES = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
CUBIC = ", cubic_coeff_a=-0.75"
# The interpolation runs along one axis after the other in float32.
FLOAT32 = 5e-5

_CASES = [
    *(
        _by_size(mode, coordinates, sizes, _torch(NAMES[mode], sizes, corners), extra)
        for sizes in (UP, DOWN, MIXED)
        for mode, coordinates, corners, extra in (
            ("linear", "pytorch_half_pixel", False, ""), ("linear", "align_corners", True, ""),
            ("linear", "half_pixel", False, ""),
            ("cubic", "half_pixel", False, CUBIC), ("cubic", "align_corners", True, CUBIC),
            ("nearest", "asymmetric", False, ', nearest_mode="floor"'),
        )
    ),
    *(
        _by_size(mode, coordinates, sizes, None, extra)
        for sizes in (UP, DOWN)
        for mode, coordinates, extra in (
            ("linear", "asymmetric", ""), ("cubic", "asymmetric", ""),
            ("cubic", "half_pixel", ", exclude_outside=1"),
            ("cubic", "half_pixel", ", cubic_coeff_a=-0.5"),
            *(("nearest", "half_pixel", f', nearest_mode="{near}"')
              for near in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
            ("nearest", "align_corners", ""), ("nearest", "pytorch_half_pixel", ""),
            *((mode, "half_pixel_symmetric", "") for mode in ("nearest", "linear", "cubic")),
        )
    ),
    *(
        _by_size(mode, "half_pixel", sizes, _torch(NAMES[mode], sizes, False, True),
                 f", antialias=1{extra}")
        for sizes in (UP, DOWN, MIXED)
        # PyTorch's antialiased cubic has another coefficient and leaves the outside out.
        for mode, extra in (("linear", ", exclude_outside=1"),
                            ("cubic", ", cubic_coeff_a=-0.5, exclude_outside=1"))
    ),
    _by_size("linear", "pytorch_half_pixel", (1, 1)),
    _by_size("linear", "align_corners", (1, 1)),
    _by_size("linear", "half_pixel", (4, 5), lambda x: x),
    _by_size("linear", "half_pixel", (4, 10), _torch("bilinear", (4, 10), False)),
    _by_size("linear", "half_pixel", (8, 5), _torch("bilinear", (8, 5), False)),
    *(
        _by_scale(mode, coordinates, scales)
        for mode, coordinates in (("linear", "half_pixel"), ("nearest", "asymmetric"),
                                  ("cubic", "half_pixel"))
        for scales in ((1.0, 1.0, 2.0, 2.0), (1.0, 1.0, 0.6, 1.7), (1.0, 1.0, 1.3, 1.0))
    ),
    Case("resize of channels", 'y = Resize<mode="linear">(x, , scales)', {"x": ("N", 4, 3)},
         lambda x: F.interpolate(x.mT, scale_factor=2.5, mode="linear",
                                 recompute_scale_factor=False).mT,
         {"scales": [1.0, 2.5, 1.0]}),
    Case("resize of channels-last", 'y = Resize<mode="linear", axes=[1, 2]>(x, , , sizes)',
         {"x": ("N", 3, 4, 2)},
         lambda x: F.interpolate(x.permute(0, 3, 1, 2), [5, 7], mode="bilinear",
                                 align_corners=False).permute(0, 2, 3, 1), {"sizes": [5, 7]}),
    Case("resize, 1-d", 'y = Resize<mode="linear", axes=[-1]>(x, , , sizes)', {"x": ("N", 2, 5)},
         lambda x: F.interpolate(x, 8, mode="linear", align_corners=False), {"sizes": [8]}),
    Case("resize, 3-d", 'y = Resize<mode="linear", axes=[2, 3, 4]>(x, , , sizes)',
         {"x": ("N", 1, 2, 3, 2)},
         lambda x: F.interpolate(x, [3, 5, 4], mode="trilinear", align_corners=False),
         {"sizes": [3, 5, 4]}),
    Case("resize by scales computed at run time",
         'h = Mul(s, s) y = Resize<mode="linear">(x, , h)', X,
         lambda x: F.interpolate(x, scale_factor=4.0, mode="bilinear"),
         {"s": np.array([1.0, 1.0, 2.0, 2.0])}, open=SPACE),
    Case("resize to the sizes of another value",
         "p = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x) n = Shape<start=2>(x) "
         'b = Shape<start=0, end=2>(p) s = Concat<axis=0>(b, n) y = Resize<mode="linear", '
         'coordinate_transformation_mode="pytorch_half_pixel">(p, , , s)', {"x": ("N", 2, 4, 6)},
         lambda x: F.interpolate(F.max_pool2d(x, 2), x.shape[2:], mode="bilinear"), open=SPACE),
    Case("resize of open axes to sizes", 'y = Resize<axes=[2, 3], mode="linear">(x, , , sizes)',
         X, _torch("bilinear", (7, 3), False), {"sizes": [7, 3]}, open=SPACE),
    *(
        Case(f"crop and resize to {list(sizes)}, {mode}",
             f'y = Resize<axes=[2, 3], mode="{mode}", extrapolation_value=3.0, '
             'coordinate_transformation_mode="tf_crop_and_resize">(x, roi, , sizes)', X, None,
             {"sizes": sizes, "roi": roi})
        for mode in ("linear", "nearest")
        for sizes, roi in (((3, 7), np.array([0.125, 0.25, 0.75, 0.875])),
                           ((4, 7), np.array([-0.25, 0.375, 0.75, 1.125])))
    ),
    *(
        Case(f"resize, sizes in proportion, {policy}",
             f'y = Resize<axes=[2, 3], mode="linear", keep_aspect_ratio_policy="{policy}">'
             "(x, , , sizes)", {"x": ("N", 1, 2, 4)}, _torch("bilinear", (4, 8), False),
             {"sizes": [4, 8]})
        for policy in ("not_larger", "not_smaller")
    ),
    Case("resize to sizes with an open batch",
         "n = Shape<start=0, end=2>(x) s = Concat<axis=0>(n, space) "
         'y = Resize<mode="linear", coordinate_transformation_mode="pytorch_half_pixel">'
         "(x, , , s)", X, _torch("bilinear", (6, 7), False), {"space": [6, 7]}),
]  # fmt: skip


def _by_the_kernel(case: Case) -> Case:
    """The case with what its slopes are compared with; a MaxPool before it is not linear."""
    kind = "none" if "MaxPool" in case.operators else "linear"
    return replace(case, float32=FLOAT32, reference=kind, remark=KERNEL)


CASES = [_by_the_kernel(case) for case in _CASES]
