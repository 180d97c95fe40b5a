"""Copies, blocks, running sums, triangles, and the maximum of a channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case

X = {"x": ("N", 2, 3, 4)}


def _tile(name: str, repeats: Sequence[int], open: tuple[tuple[int, ...], ...] = SPACE) -> Case:
    return Case(f"tile, {name}", "y = Tile(x, repeats)", X, lambda x: x.tile(list(repeats)),
                {"repeats": repeats}, open=open)  # fmt: skip


def _cumulative(x: torch.Tensor, axis: int, exclusive: bool, reverse: bool) -> torch.Tensor:
    x = x.flip(axis) if reverse else x
    total = x.cumsum(axis)
    total = total - x if exclusive else total
    return total.flip(axis) if reverse else total


def _column_first(x: torch.Tensor, block: int) -> torch.Tensor:
    return F.pixel_shuffle(x, block)


def _depth_first(x: torch.Tensor, block: int) -> torch.Tensor:
    n, c, h, w = x.shape
    apart = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return apart.reshape(n, c // block**2, h * block, w * block)


def _to_depth(x: torch.Tensor, block: int) -> torch.Tensor:
    n, c, h, w = x.shape
    apart = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return apart.reshape(n, c * block**2, h // block, w // block)


SHUFFLES = {"DCR": _depth_first, "CRD": _column_first}
TIES = np.array([[[[1.0, 3, 2], [3, 3, 0]], [[0, 0, 0], [0, 0, 0]]]])
FLAT = "the reference evaluator reduces the wrong axes"

CASES = [
    _tile("every axis", [2, 1, 3, 2]),
    _tile("one axis", [1, 1, 1, 3]),
    _tile("the batch", [3, 1, 1, 1]),
    _tile("nothing", [1, 1, 1, 1]),
    Case("tile, repeats computed at run time", "r = Add(one, one) y = Tile(x, r)",
         {"x": ("N", 2, 3)}, lambda x: x.tile(4, 2, 2), {"one": [2, 1, 1]}, open=((0,), (0, 2))),
    Case("tile of a vector", "y = Tile(x, repeats)", {"x": (3,)}, lambda x: x.tile(4),
         {"repeats": [4]}),
    *(
        Case(f"depth to space, {mode}, block {block}",
             f'y = DepthToSpace<blocksize={block}, mode="{mode}">(x)',
             {"x": ("N", 2 * block**2, 2, 3)},
             lambda x, mode=mode, block=block: SHUFFLES[mode](x, block), open=SPACE)
        for mode in SHUFFLES
        for block in (1, 2, 3)
    ),
    Case("depth to space by default", "y = DepthToSpace<blocksize=2>(x)", {"x": ("N", 4, 2, 1)},
         lambda x: _depth_first(x, 2), open=SPACE),
    *(
        Case(f"space to depth, block {block}", f"y = SpaceToDepth<blocksize={block}>(x)",
             {"x": ("N", 2, 2 * block, 3 * block)}, lambda x, block=block: _to_depth(x, block),
             open=SPACE)
        for block in (1, 2, 3)
    ),
    *(
        Case(f"cumulative sum, axis {axis}, exclusive {exclusive}, reverse {reverse}",
             f"y = CumSum<exclusive={exclusive}, reverse={reverse}>(x, axis)", {"x": ("N", 3, 4)},
             lambda x, axis=axis, e=exclusive, r=reverse: _cumulative(x, axis, bool(e), bool(r)),
             {"axis": np.array(axis)}, open=((0,), (0, 2)))
        for axis in (1, 2, -1, -2)
        for exclusive in (0, 1)
        for reverse in (0, 1)
    ),
    Case("cumulative sum, axis computed at run time", "a = Neg(one) y = CumSum(x, a)",
         {"x": ("N", 3, 4)}, lambda x: x.cumsum(-1), {"one": np.array(1)}),
    Case("cumulative sum over the batch", "y = CumSum(x, axis)", {"x": ("N", 2)},
         lambda x: x.cumsum(0), {"axis": np.array(0)}),
    *(
        Case(f"triangle, upper {upper}, diagonal {diagonal}",
             f"y = Trilu<upper={upper}>(x, diagonal)", {"x": ("N", 3, 4)},
             lambda x, upper=upper, d=diagonal: x.triu(d) if upper else x.tril(d),
             {"diagonal": np.array(diagonal)}, open=((0,), (0, 1, 2)))
        for upper in (0, 1)
        for diagonal in (-1, 0, 2)
    ),
    Case("triangle by default", "y = Trilu(x)", {"x": ("N", 3, 3)}, torch.triu),
    Case("global maximum", "y = GlobalMaxPool(x)", X, lambda x: F.adaptive_max_pool2d(x, 1),
         open=SPACE),
    Case("global maximum, 1-d", "y = GlobalMaxPool(x)", {"x": ("N", 2, 5)},
         lambda x: F.adaptive_max_pool1d(x, 1), open=((0,), (0, 2)), reference="none",
         remark=FLAT),
    Case("global maximum, 3-d", "y = GlobalMaxPool(x)", {"x": ("N", 2, 2, 3, 2)},
         lambda x: F.adaptive_max_pool3d(x, 1), open=((0,), (0, 2, 3, 4)), reference="none",
         remark=FLAT),
    Case("global maximum, tied: the first place", "y = GlobalMaxPool(x)", {"x": TIES},
         lambda x: F.adaptive_max_pool2d(x, 1), kink=True,
         expected={"x": [[[[0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]]]}),
]  # fmt: skip
