"""Regions of interest: outside the image, smaller than a cell, several of one image, none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchvision.ops import roi_align

from support.operators.harness import Case

# x1, y1, x2, y2: within, beyond every border, smaller than a cell, and the wrong way round.
REGIONS = np.array(
    [[0, 0, 5, 6], [-3, -2, 4, 4], [2, 1, 20, 12], [3, 3, 3.2, 3.1], [6, 2, 4, 7], [30, 30, 40, 40]]
)
IMAGES = [0, 2, 2, 0, 1, 0]
# ONNX Runtime has no kernel for opset 22 and later.
SLOW = "the reference evaluator takes seconds for what ONNX Runtime does in milliseconds"


def _align(
    name: str, *, mode: str = "half_pixel", ratio: int = 2, size: Sequence[int] = (2, 3),
    scale: float = 0.5, regions: np.ndarray = REGIONS, images: Sequence[int] = IMAGES,
    **more: Any,
) -> Case:  # fmt: skip
    boxes = torch.tensor(np.column_stack([images, regions]).astype(np.float32).astype(np.float64))

    def twin(x: torch.Tensor) -> torch.Tensor:
        return roi_align(x, boxes, list(size), scale, ratio, mode == "half_pixel")

    return Case(
        f"regions, {name}, {mode}, {ratio} samples",
        f'y = RoiAlign<coordinate_transformation_mode="{mode}", sampling_ratio={ratio}, '
        f"output_height={size[0]}, output_width={size[1]}, spatial_scale={scale:.6f}>"
        "(x, regions, images)",
        {"x": (3, 2, 5, 4)}, twin, {"regions": regions, "images": np.array(images, np.int64)},
        **{"opset": 21, "reference": "runtime", "remark": SLOW, **more},
    )  # fmt: skip


CASES = [
    *(
        _align("many", mode=mode, ratio=ratio)
        for mode in ("half_pixel", "output_half_pixel")
        for ratio in (0, 1, 3)
    ),
    *(
        Case(f"regions, none, {ratio} samples",
             "m = ReduceMax<keepdims=0>(x) far = Greater(m, huge) chosen = Expand(far, six) "
             "r = Compress<axis=0>(regions, chosen) i = Compress<axis=0>(images, chosen) "
             f"y = RoiAlign<sampling_ratio={ratio}, output_height=2>(x, r, i)",
             {"x": ("N", 2, 5, 4)}, lambda x: 0 * x[:0, :, :2, :1],
             {"regions": REGIONS, "images": np.zeros(6, np.int64), "huge": 99.0, "six": [6]},
             opset=21, reference="runtime", remark=SLOW)
        for ratio in (0, 2)
    ),
    _align("the whole images", scale=1.0, size=(5, 4), ratio=1,
           regions=np.array([[0.0, 0, 4, 5]] * 3), images=(0, 1, 2)),
    Case("regions of an open batch, by default",
         "y = RoiAlign<sampling_ratio=1>(x, regions, images)", {"x": ("N", 2, 5, 4)},
         lambda x, regions, images: roi_align(
             x, torch.cat([images[:, None].double(), regions], 1), (1, 1), 1.0, 1, True),
         {"regions": REGIONS[:3], "images": np.zeros(3, np.int64)}, opset=21,
         open=((0,), (0, 2), (0, 2, 3)), reference="runtime", remark=SLOW),
]  # fmt: skip
