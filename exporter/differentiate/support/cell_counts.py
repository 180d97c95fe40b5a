"""How many cells each window of an AveragePool counts, as ONNX Runtime does it.

Padding counts only under ``count_include_pad``, and what lies beyond the padding never does:
windows reach there by ``ceil_mode``, or where they are longer than the image. ONNX Runtime rounds
the number of steps between windows towards 0, so that at a stride above 1 a window may be longer
than the image, and then is the only one. Under ``count_include_pad`` all of it counts below opset
19.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ...graph.expression import Expression
from .values import places
from .window import Window

_COUNTED = 19  # the opset from which on cells beyond the padding do not count


def cell_counts(extent: int, windows: int, window: Window, axis: int, include: bool) -> np.ndarray:
    """Number of cells that each window along a spatial axis counts, float64 [windows]."""
    before, after = window.before[axis], window.after[axis]
    low, high = (-before, extent + after) if include else (0, extent + min(after, 0))
    first = np.arange(windows)[:, None] * window.strides[axis] - before
    cells = first + np.arange(window.kernel[axis])[None, :] * window.dilations[axis]
    return ((cells >= low) & (cells < high)).sum(axis=1).astype(np.float64)


def divisor(emit: Emitter, node: ir.Node, window: Window) -> ir.Value | float:
    """What each window's sum is divided by: a number if it is the same for all windows.

    Otherwise a tensor that broadcasts to the windows, [*space].
    """
    x, out, rank = only_input(node), node.outputs[0], len(window.kernel)
    include = bool(node.attributes.get_int("count_include_pad", 0))
    known, factors = np.ones([1] * rank), list[ir.Value]()
    for axis in range(rank):
        extent, windows = (dims_of(value)[2 + axis] for value in (x, out))
        if _always_full(node, window, axis, include):
            known = known * window.kernel[axis]
        elif isinstance(extent, int) and isinstance(windows, int):
            counts = cell_counts(extent, windows, window, axis, include)
            # The sum of a window that counts no cell is 0, whatever it is divided by.
            known = known * np.maximum(counts, 1).reshape([-1] + [1] * (rank - 1 - axis))
        else:
            factors.append(_open_counts(emit, node, window, axis, include))
    same = bool(np.all(known == known.flat[0]))
    if same and not factors:
        return float(known.flat[0])
    if not same or known.flat[0] != 1:
        factors.append(emit.constant(known, x.dtype))
    total = factors[0]
    for one in factors[1:]:
        total = emit.op("Mul", total, one, role="counts")
    return total


def _always_full(node: ir.Node, window: Window, axis: int, include: bool) -> bool:
    """Whether all windows along an axis count all of their cells, whatever its extent."""
    before, after = window.before[axis], window.after[axis]
    if after < 0 or not (include or before == after == 0):
        return False
    older = include and _opset(node) < _COUNTED and not node.attributes.get_int("ceil_mode", 0)
    return older or window.strides[axis] == 1


def _opset(node: ir.Node) -> int:
    assert node.graph is not None
    return node.graph.opset_imports.get("", _COUNTED)


def _open_counts(
    emit: Emitter, node: ir.Node, window: Window, axis: int, include: bool
) -> ir.Value:
    """`cell_counts` along an axis whose extent is read at run time, [windows, 1, ...].

    It is [1] where only the first window can reach beyond the end: then it is the only one.
    """
    x, out = only_input(node), node.outputs[0]
    before, after, gap = window.before[axis], window.after[axis], window.dilations[axis]
    uncounted = not include and (before != 0 or after != 0)
    # From each window's start to the end of what counts.
    reach = Expression(emit, emit.vector(parts_of(x, [2 + axis])))
    if length := before + (after if include else 0):
        reach = reach + length
    starts = None
    if uncounted or node.attributes.get_int("ceil_mode", 0):
        starts = reach.of(places(emit, parts_of(out, [2 + axis])[0])) * window.strides[axis]
        reach = reach - starts
    counts = _cells_in(reach, gap).op("Min", window.kernel[axis])
    if starts is not None and uncounted and before:
        counts = counts - _cells_in((before - starts).op("Max", 0), gap)
        counts = counts.op("Max", 1) if gap > 1 else counts
    number = emit.cast(counts.value, x.dtype, "counts")
    behind = len(window.kernel) - 1 - axis
    if starts is None or not behind:
        return number
    return emit.op("Reshape", number, [-1] + [1] * behind, role="counts")


def _cells_in(length: Expression, gap: int) -> Expression:
    """How many cells lie within a length, ``gap`` apart from its first place on."""
    return length if gap == 1 else (length + (gap - 1)) / gap
