"""Sampling by a grid: every mode and padding; places outside, on the border and on cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import Case, values

MODES = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}
PADDINGS = ("zeros", "border", "reflection")
# The grid runs from a whole image below to one above, so that reflection turns twice.
SPAN = (-3.2, 3.2)
# It also clips a cubic's coordinate at the border, not its taps.
ROUNDED = "the reference evaluator computes coordinates in float32"


def _sample(
    mode: str, padding: str, corners: int, inputs: Any, name: str = "", **more: Any
) -> Case:
    def twin(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return F.grid_sample(x, g, MODES[mode], padding, bool(corners))

    more = {"opset": 20, "reference": "runtime", "remark": ROUNDED, **more}
    return Case(
        f"grid sample, {mode}, {padding}, align corners {corners}{name}",
        f'y = GridSample<mode="{mode}", padding_mode="{padding}", '
        f"align_corners={corners}>(x, g)", inputs, twin, **more,
    )  # fmt: skip


def _fixed(name: str, grid: Any, mode: str, padding: str, corners: int, **more: Any) -> Case:
    """The same grid for every run; its gradient is not computed."""
    table = np.asarray(grid, np.float64)
    inputs = {"x": (len(table), 2, 4, 5)}
    return _sample(mode, padding, corners, inputs, name, constants={"g": table}, **more)


def _kinks(mode: str, padding: str, corners: int) -> Case:
    """Places on cells, on the borders, and a turn of the reflection outside."""
    steps = np.array([-3.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 3.0])
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)[None]
    x = values("image", (1, 1, 5, 5), -2.0, 2.0)
    return _sample(mode, padding, corners, {"x": x, "g": grid}, ", on cells and borders",
                   kink=True, float32=1e-4)  # fmt: skip


def _old(mode: str, padding: str) -> Case:
    """The form with the modes' names of before opset 20."""
    return Case(
        f"grid sample, {mode}, {padding}, opset 17",
        f'y = GridSample<mode="{mode}", padding_mode="{padding}">(x, g)',
        {**IMAGE, "g": ("N", 3, 2, 2)},
        lambda x, g: F.grid_sample(x, g, mode, padding, False), opset=17, span=SPAN,
        float32=1e-4, reference="none", remark="the reference evaluator does not know the mode",
    )  # fmt: skip


IMAGE = {"x": ("N", 2, 4, 5)}
VOLUME = {"x": ("N", 2, 3, 2, 4), "g": ("N", 2, 1, 3, 3)}
SCATTERED = values("grid", (3, 3, 2, 2), *SPAN)
CASES = [
    *(
        _sample(mode, padding, corners, {**IMAGE, "g": ("N", 3, 4, 2)}, span=SPAN,
                float32=1e-4, open=((0,), (0, 2)))
        for mode in ("linear", "cubic")
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    *(
        _sample("linear", padding, corners, VOLUME, ", volumes", span=SPAN, float32=1e-4)
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    *(
        _kinks(mode, padding, corners)
        for mode in ("linear", "cubic")
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    *(
        _fixed(", a fixed grid", SCATTERED, mode, padding, corners)
        for mode in MODES
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    *(
        _fixed(", halfway between cells",
               [[[[-0.75, 0.0], [-0.25, 0.0], [0.25, 0.0], [0.75, 1 / 3]]]], "nearest",
               padding, corners)
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    *(
        _sample("linear", padding, corners, {"x": ("N", 2, 1, 4), "g": ("N", 2, 2, 2)},
                ", images of one row", span=SPAN, float32=1e-4)
        for padding in PADDINGS
        for corners in (0, 1)
    ),
    *(_old(mode, padding) for mode in ("bilinear", "bicubic") for padding in PADDINGS),
    Case("grid sample, a fixed image", "y = GridSample(x, g)", {"g": (1, 3, 2, 2)},
         lambda g, x: F.grid_sample(x, g, align_corners=False),
         {"x": values("image", (1, 2, 4, 5), -1.0, 1.0)}, opset=20, reference="runtime",
         remark=ROUNDED),
    *(
        Case(f"affine grid, {size}, align corners {corners}",
             f"y = AffineGrid<align_corners={corners}>(x, size)",
             {"x": (3, len(size) - 2, len(size) - 1)},
             # Runtimes and PyTorch differ in where the corners of a single row are aligned.
             None if corners and 1 in size[2:]
             else lambda x, size=size, corners=corners: F.affine_grid(x, size, bool(corners)),
             {"size": size}, opset=20, reference="runtime", remark=ROUNDED)
        for size in ([3, 2, 4, 5], [3, 2, 1, 3], [3, 1, 2, 3, 2])
        for corners in (0, 1)
    ),
    Case("affine grid of an open batch, sampled",
         "s = Shape(p) g = AffineGrid(x, s) y = GridSample(p, g)",
         {"x": ("N", 2, 3), "p": ("N", 1, 4, 3)},
         lambda x, p: F.grid_sample(p, F.affine_grid(x, list(p.shape), False),
                                    align_corners=False),
         span=(-1.3, 1.3), opset=20, reference="runtime", remark=ROUNDED,
         open=((0,),)),
]  # fmt: skip
