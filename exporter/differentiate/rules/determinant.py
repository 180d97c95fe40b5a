"""This rule differentiates the determinant."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import static_extent

_LARGEST = 32  # n^4 numbers are made for a matrix of n rows


def _small(node: ir.Node) -> str | None:
    size = dims_of(only_input(node))[-1]
    if not isinstance(size, int):
        return "the size of its matrices is unknown; fix it by --shape or at export"
    if size > _LARGEST:
        return f"matrices of {size} rows have no gradient rule; {_LARGEST} rows at most have"
    return None


@vjp("Det", since=11, check=_small)
def determinant(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` times the cofactors, which singular matrices have too.

    A cofactor is the determinant with its row replaced by the unit vector of its column.
    """
    x = only_input(node)
    rank, size = len(dims_of(x)), static_extent(x, -1)
    unit = np.eye(size)
    rows = emit.constant(unit.reshape(size, 1, size, 1).astype(bool))
    columns = emit.constant(unit.reshape(1, size, 1, size), x.dtype)
    matrices = emit.op("Unsqueeze", x, [rank - 2, rank - 1], role="matrices")
    replaced = emit.op("Where", rows, columns, matrices, role="replaced")
    cofactors = emit.op("Det", replaced, role="cofactors")
    return [g.op("Unsqueeze", [rank - 1, rank]) * cofactors]
