"""Views, permutations, joining, cutting and indexing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import SPACE, Case

X = {"x": ("N", 2, 3, 4)}
FAR = 2**62


def _slice(
    name: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None,
    steps: Sequence[int] | None, index: tuple[Any, ...], **more: Any,
) -> Case:  # fmt: skip
    """A Slice of [N, 2, 3, 4]; ``index`` says the same in numpy's words."""
    constants: dict[str, Any] = {"starts": starts, "ends": ends}
    arguments = ["x", "starts", "ends"]
    for key, given in (("axes", axes), ("steps", steps)):
        arguments.append(key if given is not None else "")
        if given is not None:
            constants[key] = given
    while not arguments[-1]:
        arguments.pop()

    def twin(x: torch.Tensor) -> torch.Tensor:
        places = torch.arange(x.numel()).reshape(x.shape).numpy()[index]
        return x.reshape(-1)[torch.tensor(np.ascontiguousarray(places))]

    return Case(f"slice, {name}", f"y = Slice({', '.join(arguments)})", X, twin, constants, **more)


def _gather(name: str, axis: int, indices: Any, **more: Any) -> Case:
    places = np.asarray(indices, np.int64)

    def twin(x: torch.Tensor) -> torch.Tensor:
        return _take(x, places % x.shape[axis], axis)

    return Case(
        f"gather, {name}, axis {axis}", f"y = Gather<axis={axis}>(x, places)", X, twin,
        {"places": places}, **more,
    )  # fmt: skip


def _take(x: torch.Tensor, places: np.ndarray, axis: int) -> torch.Tensor:
    """``numpy.take``: the axis replaced by those of the indices."""
    axis %= x.dim()
    flat = torch.index_select(x, axis, torch.tensor(places.reshape(-1)))
    return flat.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def _reshape(name: str, to: Sequence[int], **more: Any) -> Case:
    return Case(
        f"reshape, {name}", "y = Reshape(x, to)", X,
        lambda x: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(to)]),
        {"to": to}, **more,
    )  # fmt: skip


VIEWS = [
    _reshape("rows", [0, -1]),
    _reshape("everything", [-1]),
    _reshape("merged into the batch", [-1, 4]),
    _reshape("apart", [0, 2, 3, 2, 2]),
    _reshape("copied axes", [0, 0, -1], open=((0,), (0, 2))),
    *(
        Case(f"flatten from axis {axis}", f"y = Flatten<axis={axis}>(x)", X,
             lambda x, axis=axis: x.reshape(int(np.prod(x.shape[:axis])), -1))
        for axis in (0, 1, 2, 4, -1)
    ),
    Case("flatten", "y = Flatten(x)", X, lambda x: x.flatten(1), open=SPACE),
    Case("squeeze", "y = Squeeze(x, axes)", {"x": ("N", 1, 3, 1)},
         lambda x: x.squeeze(3).squeeze(1), {"axes": [1, -1]}),
    Case("squeeze every axis of extent 1", "y = Squeeze(x)", {"x": (2, 1, 3, 1)},
         lambda x: x.squeeze()),
    Case("unsqueeze", "y = Unsqueeze(x, axes)", {"x": ("N", 3)},
         lambda x: x.unsqueeze(1).unsqueeze(-1), {"axes": [-1, 1]}),
    *(
        Case(f"transpose {perm}", f"y = Transpose<perm={perm}>(x)", X,
             lambda x, perm=perm: x.permute(perm))
        for perm in ([0, 2, 3, 1], [3, 1, 0, 2], [1, 2, 3, 0], [0, 1, 2, 3])
    ),
    Case("transpose by default", "y = Transpose(x)", X, lambda x: x.permute(3, 2, 1, 0)),
    Case("expand", "y = Expand(x, to)", {"x": ("N", 1, 3)}, lambda x: x.expand(x.shape[0], 2, 3),
         {"to": [1, 2, 1]}),
    Case("expand to more axes", "y = Expand(x, to)", {"x": ("N", 1)},
         lambda x: x.expand(2, x.shape[0], 3), {"to": [2, 1, 3]}),
    Case("expand a scalar", "y = Expand(x, to)", {"x": ()}, lambda x: x.expand(2, 3),
         {"to": [2, 3]}),
    Case("expand to nothing new", "y = Expand(x, to)", {"x": ("N", 2)}, lambda x: x, {"to": [1]}),
]  # fmt: skip
JOINED = [
    *(
        Case(f"concat, axis {axis}", f"y = Concat<axis={axis}>(a, c, b)",
             {"a": (2, 2, 3), "b": (2, 2, 3)},
             lambda a, b, c, axis=axis: torch.cat([a, c, b], axis), {"c": np.ones((2, 2, 3))})
        for axis in (0, 1, 2, -1, -2)
    ),
    Case("concat of channels", "y = Concat<axis=1>(a, b)", {"a": ("N", 1, 2), "b": ("N", 3, 2)},
         lambda a, b: torch.cat([a, b], 1), open=((0,), (0, 2))),
    Case("concat along an open axis", "r = Relu(b) y = Concat<axis=2>(a, r, a)",
         {"a": ("N", 2, 3), "b": ("N", 2, 3)},
         lambda a, b: torch.cat([a, b.relu(), a], 2), open=((0,), (0, 2))),
    Case("concat of a value with itself", "y = Concat<axis=1>(x, x)", {"x": ("N", 2)},
         lambda x: torch.cat([x, x], 1)),
    Case("concat of one", "y = Concat<axis=1>(x)", {"x": ("N", 2)}, lambda x: x),
    Case("class token", "s = Shape<start=0, end=1>(x) d = Concat<axis=0>(s, rest) "
         "t = Expand(token, d) y = Concat<axis=1>(t, x)", {"x": ("N", 2, 3)},
         lambda x, token: torch.cat([token.expand(x.shape[0], 1, 3), x], 1),
         {"token": np.ones((1, 1, 3)), "rest": [1, 3]}),
    Case("split", "a, b = Split<axis=1, num_outputs=2>(x) y = Mul(a, b)", {"x": ("N", 4, 2)},
         lambda x: x[:, :2] * x[:, 2:]),
    Case("split by sizes",
         "a, b, c = Split<axis=-1>(x, sizes) d = Mul(b, b) y = Concat<axis=1>(c, d)",
         {"x": ("N", 6)},
         lambda x: torch.cat([x[:, 3:], x[:, 1:3] ** 2], 1), {"sizes": [1, 2, 3]}),
    Case("split with parts unused", "a, b, c = Split<axis=1>(x, sizes) y = Mul(b, b)",
         {"x": ("N", 6, 2)}, lambda x: x[:, 1:3] ** 2, {"sizes": [1, 2, 3]}, open=((0,), (0, 2))),
    Case("split of the batch axis", "a, b = Split<axis=0, num_outputs=2>(x) y = Sub(b, a)",
         {"x": (2, 3)}, lambda x: x[1:] - x[:1]),
]  # fmt: skip
CUT = [
    _slice("from 1", [1], [FAR], [2], None, np.s_[:, :, 1:]),
    _slice("up to the last", [0], [-1], [3], None, np.s_[..., :-1]),
    _slice("negative bounds", [-3], [-1], [3], None, np.s_[..., -3:-1]),
    *(
        _slice(f"open axes, {name}", [start], [end], [2], None, np.s_[:, :, start:end],
               open=((0,), (0, 2)))
        for name, start, end in (("inside", 1, 2), ("from the end", -2, -1), ("to it", 1, FAR))
    ),
    _slice("negative axis", [1], [3], [-1], None, np.s_[..., 1:3]),
    _slice("bounds beyond the ends", [-9], [9], [2], None, np.s_[:]),
    _slice("whole, with an open axis", [0], [FAR], [0], None, np.s_[:]),
    _slice("every axis", [0, 0, 1, 0], [FAR, 1, 3, 4], None, None, np.s_[:, :1, 1:3]),
    _slice("step 2", [0], [FAR], [3], [2], np.s_[..., ::2]),
    _slice("step 2 from 1", [1], [FAR], [3], [2], np.s_[..., 1::2]),
    _slice("step 3, the end cut off", [0], [4], [3], [3], np.s_[..., ::3]),
    _slice("step 2 of an odd extent", [0], [FAR], [2], [2], np.s_[:, :, ::2]),
    _slice("backwards", [-1], [-FAR], [3], [-1], np.s_[..., ::-1]),
    _slice("backwards in steps", [-1], [-FAR], [3], [-2], np.s_[..., ::-2]),
    _slice("backwards, a part", [2], [0], [3], [-1], np.s_[..., 2:0:-1]),
    _slice("backwards from beyond", [9], [-9], [2], [-2], np.s_[:, :, ::-2]),
    _slice("backwards and forwards", [2, 1], [-FAR, FAR], [2, 3], [-1, 2], np.s_[:, :, ::-1, 1::2]),
    _slice("open height, cut width", [0, 1], [FAR, 3], [2, 3], None, np.s_[..., 1:3],
           open=((0,), (0, 2))),
    Case("slices that cover an axis", "a = Slice(x, i0, i1, axis) b = Slice(x, i1, end, axis) "
         "y = Concat<axis=1>(b, a)", {"x": ("N", 3)}, lambda x: torch.cat([x[:, 1:], x[:, :1]], 1),
         {"i0": [0], "i1": [1], "end": [FAR], "axis": [1]}),
    Case("pad", "y = Pad(x, widths)", {"x": ("N", 2, 3)}, lambda x: F.pad(x, (2, 1, 0, 3)),
         {"widths": [0, 0, 2, 0, 3, 1]}),
    Case("pad with a value", "y = Pad(x, widths, value)", {"x": ("N", 2)},
         lambda x: F.pad(x, (1, 1), value=-1e9), {"widths": [0, 1, 0, 1], "value": -1e9}),
    Case("pad some axes", "y = Pad(x, widths, , axes)", {"x": ("N", 2, 3)},
         lambda x: F.pad(x, (1, 2)), {"widths": [1, 2], "axes": [-1]}),
    Case("pad height and width", "y = Pad(x, widths, , axes)", {"x": ("N", 1, 2, 3)},
         lambda x: F.pad(x, (1, 0, 2, 1)), {"widths": [2, 1, 1, 0], "axes": [2, 3]}, open=SPACE),
    Case("negative pad", "y = Pad(x, widths)", {"x": ("N", 4)}, lambda x: F.pad(x, (-1, 1)),
         {"widths": [0, -1, 0, 1]}, ),
    *(
        Case(f"pad, {mode}, {list(widths)}", f'y = Pad<mode="{mode}">(x, widths)',
             {"x": ("N", 1, 3, 4)}, lambda x, w=widths, name=name: F.pad(x, w, name),
             {"widths": [0, 0, w[2], w[0], 0, 0, w[3], w[1]] if (w := widths) else []},
             opset=19, open=SPACE)
        for mode, name in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular"))
        for widths in ((1, 1, 1, 1), (2, 0, 0, 1), (3, 3, 2, 2))
    ),
    Case("pad, edge, wider than the axis", 'y = Pad<mode="edge">(x, widths, , axes)',
         {"x": ("N", 1, 2)}, lambda x: F.pad(x, (3, 4), "replicate"),
         {"widths": [3, 4], "axes": [-1]}, open=((0,), (0, 2))),
    Case("pad by widths computed at run time", "w = Add(half, half) y = Pad(x, w)",
         {"x": ("N", 2, 3)}, lambda x: F.pad(x, (2, 4, 0, 2)), {"half": [0, 0, 1, 0, 1, 2]},
         open=((0,), (0, 2))),
    Case("pad some axes by widths computed at run time", "w = Add(half, half) "
         "y = Pad(x, w, , axes)", {"x": ("N", 2, 3)}, lambda x: F.pad(x, (2, -2)),
         {"half": [1, -1], "axes": [2]}),
    Case("pad by nothing", "y = Pad(x, widths)", {"x": ("N", 2)}, lambda x: x,
         {"widths": [0, 0, 0, 0]}),
    Case("pad, opset 21", "y = Pad(x, widths)", {"x": ("N", 2)}, lambda x: F.pad(x, (1, 0)),
         {"widths": [0, 1, 0, 0]}, opset=21),
]  # fmt: skip
INDEXED = [
    *(
        _gather(name, axis, indices)
        for axis in (1, 2, 3, -1, -2)
        for name, indices in (
            ("a scalar", 1), ("a negative scalar", -1), ("one place", [0]),
            ("a 1 x 1 table", [[1]]), ("several places", [1, 0]), ("repeated places", [1, 1, 0, 1]),
            ("a table", [[0, 1, -1], [-2, 1, 0]]),
        )
    ),
    Case("gather, rows of the batch", "y = Gather<axis=0>(x, places)", {"x": (4, 3)},
         lambda x: x[[2, 0, 2]], {"places": [2, 0, 2]}),
    Case("gather, the first image", "y = Gather<axis=0>(x, place)", {"x": ("N", 3)},
         lambda x: x[0], {"place": np.array(0)}),
    Case("gather, the last of an open axis", "y = Gather<axis=2>(x, place)", {"x": ("N", 2, 3)},
         lambda x: x[:, :, -1], {"place": np.array(-1)}, open=((0,), (0, 2))),
    Case("gather, places computed at run time",
         "i = ArgMax<axis=1, keepdims=0>(x) y = Gather<axis=1>(x, i)", {"x": (2, 4)},
         lambda x: x[:, x.argmax(1)]),
]  # fmt: skip

CASES = [*VIEWS, *JOINED, *CUT, *INDEXED]
