"""`result_size` says how large the result of a node may be, before the node is evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

_Array = npt.NDArray[Any]
_Given = Sequence[_Array]

# Operators whose result may be large whatever their inputs are; none computes shapes.
_ANY = frozenset(
    {"AffineGrid", "BlackmanWindow", "CenterCropPad", "Col2Im", "ConvTranspose", "DFT", "Einsum"}
    | {"GridSample", "HammingWindow", "HannWindow", "ImageDecoder", "MaxUnpool", "MaxRoiPool"}
    | {"MelWeightMatrix", "RegexFullMatch", "Resize", "RoiAlign", "STFT", "StringSplit"}
    | {"Upsample"}
)


def result_size(node: ir.Node, arrays: Sequence[_Array | None]) -> float:
    """Return a bound of the elements of a node's result, infinite if there is none.

    Args:
        node: A node with one output.
        arrays: Its inputs; None for one that is absent.
    """
    given = [array for array in arrays if array is not None]
    if node.op_type in _ANY:
        return math.inf
    try:
        if node.op_type in _GROWING:
            return _GROWING[node.op_type](given)
        return _product(np.broadcast_shapes(*(array.shape for array in given)))
    except (IndexError, OverflowError, ValueError, ZeroDivisionError):
        sizes = [array.size for array in given]
        return math.inf if node.op_type in _GROWING else sum(sizes)


def _product(extents: Iterable[Any]) -> float:
    return float(math.prod(max(abs(int(extent)), 1) for extent in extents))


def _range(given: _Given) -> float:
    start, limit, delta = (float(array.item()) for array in given)
    return abs((limit - start) / delta)


def _padded(given: _Given) -> float:
    widths = given[1].reshape(2, -1).sum(0)
    if len(given) > 3 or len(widths) != given[0].ndim:  # of some axes only
        return given[0].size * _product(widths + 1)
    return _product([extent + int(n) for extent, n in zip(given[0].shape, widths, strict=True)])


_GROWING: Mapping[str, Callable[[_Given], float]] = {
    "ConstantOfShape": lambda given: _product(given[0].reshape(-1)),
    "Expand": lambda given: given[0].size * _product(given[1].reshape(-1)),
    "Gather": lambda given: given[0].size * given[1].size,
    "MatMul": lambda given: given[0].size * given[1].size,
    "OneHot": lambda given: given[0].size * _product(given[1].reshape(-1)),
    "Pad": _padded,
    "Range": _range,
    "Tile": lambda given: given[0].size * _product(given[1].reshape(-1)),
}
