"""Gathering and scattering by coordinates: repeated and negative places, parts of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from support.operators.harness import Case

GATHERS = "the reference evaluator's GatherElements needs all of the other axes"


def _nd(name: str, indices: Any, shape: tuple[int | str, ...] = (2, 3, 4), **more: Any) -> Case:
    """GatherND with its coordinates on the last axis."""
    table = np.asarray(indices, np.int64)
    places = tuple(torch.tensor(column) for column in np.moveaxis(table, -1, 0))
    return Case(f"gather nd, {name}", "y = GatherND(x, places)", {"x": shape},
                lambda x: x[places], {"places": table}, **more)  # fmt: skip


def _take(x: torch.Tensor, places: np.ndarray, axis: int) -> torch.Tensor:
    return torch.gather(x, axis, torch.tensor(places % x.shape[axis]))


def _elements(name: str, axis: int, indices: Any, shape: tuple[int, ...], **more: Any) -> Case:
    table = np.asarray(indices, np.int64)
    return Case(
        f"gather elements, {name}", f"y = GatherElements<axis={axis}>(x, places)", {"x": shape},
        lambda x: _take(x, table, axis), {"places": table}, **more,
    )  # fmt: skip


def _scatter(
    name: str, axis: int, indices: Any, mode: str, shape: tuple[int, ...] = (3, 4)
) -> Case:
    table = np.asarray(indices, np.int64)
    places = torch.tensor(table % shape[axis])

    def twin(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        if mode in NAMES:
            return x.scatter_reduce(axis, places, u, NAMES[mode])
        return x.scatter(axis, places, u)

    text = f', reduction="{mode}"' if mode != "default" else ""
    return Case(
        f"scatter elements, {name}, reduction {mode}",
        f"y = ScatterElements<axis={axis}{text}>(x, places, u)", {"x": shape, "u": table.shape},
        twin, {"places": table}, reference="forward", remark=GATHERS,
    )  # fmt: skip


def _scatter_nd(name: str, indices: Any, mode: str) -> Case:
    table = np.asarray(indices, np.int64)
    places = tuple(torch.tensor(column) for column in np.moveaxis(table, -1, 0))
    text = f'<reduction="{mode}">' if mode != "default" else ""
    return Case(
        f"scatter nd, {name}, reduction {mode}", f"y = ScatterND{text}(x, places, u)",
        {"x": (3, 2, 4), "u": (*table.shape[:-1], *(3, 2, 4)[table.shape[-1] :])},
        lambda x, u: x.index_put(places, u, accumulate=mode == "add"), {"places": table},
    )  # fmt: skip


def _scatter_rows(name: str, indices: Any, mode: str, **more: Any) -> Case:
    """ScatterND of planes of [3, 2] into [4, 3, 2]."""
    table = np.asarray(indices, np.int64)[:, None]
    rows = torch.tensor(table % 4)[..., None].expand(-1, 3, 2)
    return Case(
        f"scatter nd, {name}, reduction {mode}", f'y = ScatterND<reduction="{mode}">(x, places, u)',
        {"x": (4, 3, 2), "u": (len(table), 3, 2)},
        lambda x, u: x.scatter_reduce(0, rows, u, NAMES[mode]), {"places": table},
        reference="none", remark=GATHERS, **more,
    )  # fmt: skip


NAMES = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}
MODES = ("default", "none", "add")
CASES = [
    _nd("elements", [[0, 1, 2], [1, 2, 3]]),
    _nd("repeated elements", [[1, 1, 1], [0, 0, 0], [1, 1, 1]]),
    _nd("negative places", [[-1, 0, -2], [0, -3, 1]]),
    _nd("rows", [[0, 1], [1, 2], [0, 1]]),
    _nd("planes", [[1], [0], [1]]),
    _nd("a table of rows", [[[0, 1], [1, 0]], [[1, 2], [0, 1]]]),
    _nd("one row", [[1, 2]]),
    Case("gather nd, one batch axis", "n = Shape<start=0, end=1>(x) s = Concat<axis=0>(n, rest) "
         "i = Expand(places, s) y = GatherND<batch_dims=1>(x, i)", {"x": ("N", 3, 4)},
         lambda x: x[:, [0, 2, 2], [1, 3, 3]],
         {"rest": [3, 2], "places": np.array([[[0, 1], [2, -1], [2, 3]]])}, open=((0,), (0, 1))),
    Case("gather nd, two batch axes", "y = GatherND<batch_dims=2>(x, places)", {"x": (2, 2, 3, 2)},
         lambda x: x[[[0, 0], [1, 1]], [[0, 1], [0, 1]], [[1, 2], [0, 1]]],
         {"places": np.array([[[1], [2]], [[0], [1]]])}),
    Case("gather nd, places behind a batch axis computed at run time",
         "i = ArgMax<axis=1, keepdims=1>(x) y = GatherND<batch_dims=1>(x, i)", {"x": ("N", 4)},
         lambda x: x.amax(1)),
    Case("gather nd behind a batch axis",
         "t = Transpose<perm=[1, 2, 0]>(x) g = GatherND(t, places) y = Transpose<perm=[1, 0]>(g)",
         {"x": ("N", 3, 4)}, lambda x: x[:, [0, 2, 2], [1, 3, 3]],
         {"places": np.array([[0, 1], [2, 3], [2, 3]])}),
    Case("gather nd, places computed at run time",
         "i = ArgMax<axis=1, keepdims=1>(x) y = GatherND(x, i)", {"x": (4, 4)},
         lambda x: x[x.argmax(1)]),
    _elements("rows", 0, [[1, 2, 0], [2, 0, 0]], (3, 3)),
    _elements("columns", 1, [[0, 0], [1, 0], [2, 1]], (3, 3)),
    _elements("negative axis and places", -1, [[-1, -1], [0, -2], [-3, 1]], (3, 3),
              reference="none", remark="the reference evaluator knows no negative axis"),
    _elements("repeated places, three axes", 1, [[[1, 1], [1, 1], [0, 1]]] * 2, (2, 3, 2)),
    _elements("a part of the other axes", 1, [[2, 0]], (3, 3), reference="none",
              remark=GATHERS),
    Case("gather elements, places computed at run time",
         "i = ArgMax<axis=1>(x) y = GatherElements<axis=1>(x, i)", {"x": ("N", 4)},
         lambda x: x.amax(1, keepdim=True), reference="none",
         remark="the reference evaluator gathers other places where extents are 1"),
    *(
        case
        for mode in MODES
        for case in (
            _scatter("rows", 0, [[0, 2, 1, 1]], mode),
            _scatter("columns", 1, [[0, 3], [1, 0]], mode),
            _scatter("negative axis and places", -1, [[-1, 0], [1, -4], [2, 3]], mode),
            _scatter("three axes", 1, [[[1, 0]], [[2, 1]]], mode, (2, 3, 2)),
        )
    ),
    _scatter("repeated places", 1, [[1, 1, 1], [0, 2, 0]], "add"),
    *(
        case
        for mode in ("mul", "min", "max")
        for case in (
            _scatter("rows", 0, [[0, 2, 1, 1]], mode),
            _scatter("repeated places", 1, [[1, 1, 1], [0, 2, 0]], mode),
            _scatter("negative axis and places", -1, [[-1, 0], [1, -4], [2, 3]], mode),
            _scatter("three axes", 1, [[[1, 0]], [[2, 1]]], mode, (2, 3, 2)),
            _scatter_rows("planes", [2, -4], mode),
            _scatter_rows("repeated planes", [1, 1, 3], mode),
        )
    ),
    *(
        Case(f"scatter elements, zeros and ties, reduction {mode}",
             f'y = ScatterElements<axis=1, reduction="{mode}">(x, places, u)',
             {"x": np.array([[0.0, 2, 3, 0]]), "u": np.array([[2.0, 2, 0, 0, 3]])},
             lambda x, u, mode=mode: x.scatter_reduce(1, torch.tensor([[1, 1, 2, 3, 2]]), u,
                                                      NAMES[mode]),
             {"places": np.array([[1, 1, 2, 3, 2]])}, kink=True, reference="none",
             remark=GATHERS)
        for mode in ("mul", "min", "max")
    ),
    Case("scatter nd of elements, reduction mul", 'y = ScatterND<reduction="mul">(x, places, u)',
         {"x": (3, 2), "u": (2,)}, lambda x, u: x.index_put(
             (torch.tensor([0, 2]), torch.tensor([1, 0])), x[[0, 2], [1, 0]] * u),
         {"places": np.array([[0, 1], [-1, 0]])}, reference="none", remark=GATHERS),
    Case("scatter elements into an open batch", "s = Shape(x) i = Expand(zero, s) "
         "y = ScatterElements<axis=1>(x, i, x)", {"x": ("N", 1)}, lambda x: x,
         {"zero": np.array(0)}),
    Case("scatter elements, updates only", "y = ScatterElements<axis=1>(z, places, x)",
         {"x": (2, 2)}, lambda x, z, places: z.scatter(1, places, x),
         {"z": np.ones((2, 3)), "places": np.array([[2, 0], [1, 2]])}),
    *(
        case
        for mode in MODES
        for case in (
            _scatter_nd("elements", [[0, 1, 3], [2, 0, 0]], mode),
            _scatter_nd("rows", [[2, 1], [0, 1]], mode),
            _scatter_nd("planes", [[2], [0]], mode),
            _scatter_nd("a table of negative places", [[[0, -1]], [[-1, 0]]], mode),
        )
    ),
    _scatter_nd("repeated planes", [[1], [1], [0]], "add"),
    Case("scatter nd, data only", "y = ScatterND(x, places, u)", {"x": (3, 2)},
         lambda x, places, u: x.index_put((places[:, 0],), u),
         {"places": np.array([[2], [0]]), "u": np.ones((2, 2))}),
    *(
        Case(f"top k, axis {axis}, largest {largest}, sorted",
             f"y, i = TopK<axis={axis}, largest={largest}, sorted=1>(x, k)",
             {"x": ("N", 3, 4)},
             lambda x, axis=axis, largest=largest: x.topk(2, axis, bool(largest)).values,
             {"k": [2]}, open=((0,), (0, 2)))
        for axis in (1, 2, -1, -2)
        for largest in (0, 1)
    ),
    Case("top k by default", "v, i = TopK(x, k) y = Mul(v, v)", {"x": ("N", 5)},
         lambda x: x.topk(3).values ** 2, {"k": [3]}),
    Case("top k, its places only", "v, i = TopK<axis=1>(x, k) y = GatherElements<axis=1>(x, i)",
         {"x": ("N", 5)}, lambda x: x.topk(2).values, {"k": [2]}, reference="none",
         remark=GATHERS),
    Case("top k of all", "y, i = TopK(x, k)", {"x": ("N", 4)},
         lambda x: x.sort(descending=True).values, {"k": [4]}),
    Case("top k, tied: the places that were taken", "y, i = TopK(x, k)",
         {"x": np.array([[1.0, 1, 2, 1]])}, lambda x: x[:, [2, 0]], {"k": [2]}, kink=True,
         expected={"x": [[1, 0, 1, 0]]}),
]  # fmt: skip
