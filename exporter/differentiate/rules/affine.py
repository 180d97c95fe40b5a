"""This rule differentiates grids of affine maps, as in spatial transformers (Jaderberg 2015)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import cells, reshape_like


@vjp("AffineGrid", since=20, inputs=(0,))
def affine_grid(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The sum over all places of the cotangent times the place, ``(x, y, 1)``.

    The places are read off the operator itself, which is linear: the map with ones in one column
    and zeros elsewhere gives that coordinate of each place.
    """
    theta, size, out = only_input(node, 0), only_input(node, 1), node.outputs[0]
    axes = len(dims_of(out)) - 2
    maps = np.repeat(np.eye(axes + 1)[:, None], axes, axis=1)
    space = emit.op("Slice", size, [1], [axes + 2], role="space", shape=[axes + 1])
    aligned, unit_maps = (
        node.attributes.get_int("align_corners", 0),
        emit.constant(maps, theta.dtype),
    )
    size = [axes + 1, space]
    places = emit.op("AffineGrid", unit_maps, size, role="places", align_corners=aligned)
    places = emit.op("Gather", places, emit.constant(0), role="places", axis=axes + 1)
    count = cells(emit, out, range(1, axes + 1))
    places = emit.op("Reshape", places, [axes + 1, count], role="places")
    # One Gemm over classes, images and rows of the map.
    rows = g.op("Transpose", role="by_row", perm=[0, 1, axes + 2, *range(2, axes + 2)])
    rows = rows.op("Reshape", [-1, count], role="rows").op("Gemm", places, transB=1)
    return [rows.through(reshape_like, theta)]
