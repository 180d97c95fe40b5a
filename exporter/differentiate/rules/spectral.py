"""These rules differentiate Fourier transforms; complex numbers are pairs on the last axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import constant_ints, only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.strided import padded
from ..support.values import reshape_like, static_extent


def _axis(node: ir.Node) -> int | None:
    """The transformed axis: an input since opset 20, an attribute before; None if unknown."""
    rank = len(dims_of(only_input(node)))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        given = constant_ints(node.inputs[2])
        return given[0] % rank if given else None
    new = "axis" not in node.attributes and (node.version or _opset(node)) >= 20
    return node.attributes.get_int("axis", -2 if new else 1) % rank


def _opset(node: ir.Node) -> int:
    assert node.graph is not None
    return node.graph.opset_imports[""]


def _length(node: ir.Node, axis: int) -> int | None:
    """Points of the transform, or None if they are not known."""
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        given = constant_ints(node.inputs[1])
        return given[0] if given else None
    extent = dims_of(only_input(node))[axis]
    if not isinstance(extent, int):
        return None
    half = node.attributes.get_int("inverse", 0) and node.attributes.get_int("onesided", 0)
    return 2 * (extent - 1) if half else extent


def _known(node: ir.Node) -> str | None:
    axis = _axis(node)
    if axis is None:
        return "its axis is computed at run time; it must be a constant"
    extent = dims_of(only_input(node))[axis]
    if _length(node, axis) is None or not isinstance(extent, int):
        return f"the extent of axis {axis} is unknown; fix it by --shape or at export"
    return None


@vjp("DFT", since=17, inputs=(0,), check=_known)
def fourier(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The transform the other way round, not divided by the length n where the node's is.

    A one-sided spectrum is a whole one without its second half: its cotangent is padded with
    zeros. Backwards it represents both halves: all but the first and (for an even n) the last
    count twice.
    """
    x, axis = only_input(node), _axis(node)
    assert axis is not None
    length = _length(node, axis)
    assert length is not None
    inverse, half = node.attributes.get_int("inverse", 0), node.attributes.get_int("onesided", 0)
    rank = len(dims_of(x))
    if inverse:
        g = g.through(_transformed, 1 + axis, onesided=half)
    else:
        missing = length - length // 2 - 1 if half else 0
        g = g.through(padded, 1 + rank, {1 + axis: (0, missing)})
        g = g.through(_transformed, 1 + axis, inverse=1)
    reach = length
    if inverse and half:
        reach = length // 2 + 1
        twice = np.full([reach, *[1] * (rank - 1 - axis)], 2.0)
        twice[0] = 1.0
        twice[length // 2 :] = 1.0 if length % 2 == 0 else 2.0
        g = g.op("Mul", emit.constant(twice, x.dtype), role="twice")
    missing, numbers = static_extent(x, axis) - reach, dims_of(x)[-1]
    g = g.through(padded, 1 + rank, {1 + axis: (0, missing), rank: (0, -1 if numbers == 1 else 0)})
    return [g / length if inverse else g * length]


def _transformed(
    emit: Emitter, value: ir.Value, axis: int, inverse: int = 0, onesided: int = 0
) -> ir.Value:
    """A DFT in the form of the graph's opset."""
    if emit.graph.opset_imports.get("", 18) < 20:
        return emit.op(
            "DFT", value, role="transformed", axis=axis, inverse=inverse, onesided=onesided
        )
    inputs = (value, None, emit.constant(np.int64(axis)))
    return emit.op("DFT", *inputs, role="transformed", inverse=inverse, onesided=onesided)


def _framed(node: ir.Node) -> str | None:
    step, length = (constant_of(node.inputs[1]), _frame(node))
    if step is None or length is None:
        return "its frame step and length must be constants"
    if not isinstance(dims_of(only_input(node))[1], int):
        return "the length of the signal is unknown; fix it by --shape or at export"
    return None


def _frame(node: ir.Node) -> int | None:
    """Length of a frame, or None if it is not known."""
    given = constant_ints(node.inputs[3]) if len(node.inputs) > 3 else None
    if given:
        return given[0]
    window = node.inputs[2] if len(node.inputs) > 2 else None
    extent = dims_of(window if window is not None else only_input(node))[0 if window else 1]
    return extent if isinstance(extent, int) else None


def frame_basis(length: int, bins: int, numbers: int) -> np.ndarray:
    """What each number of a spectrum takes from each sample, float64 [2 bins, numbers, length]."""
    turns = np.outer(np.arange(bins), np.arange(length)) / length
    cosine, sine = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    pairs = np.array([[cosine, sine], [-sine, cosine]])  # [out, in, bins, length]
    return pairs.transpose(2, 0, 1, 3).reshape(2 * bins, 2, length)[:, :numbers]


@vjp("STFT", since=17, inputs=(0,), check=_framed)
def short_time_fourier(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """A transposed convolution: the node is a convolution with windowed cosines and sines."""
    x, length = only_input(node), _frame(node)
    step = constant_ints(node.inputs[1])
    assert length is not None
    assert step is not None
    total, numbers = static_extent(x, 1), static_extent(x, 2)
    bins = length // 2 + 1 if node.attributes.get_int("onesided", 1) else length
    frames = (total - length) // step[0] + 1
    basis = emit.constant(frame_basis(length, bins, numbers), x.dtype)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        basis = emit.op("Mul", basis, only_input(node, 2), role="windowed")
    g = g.op("Reshape", [-1, frames, 2 * bins], role="spectra")
    g = g.op("Transpose", role="spectra", perm=[0, 2, 1])
    g = g.op("ConvTranspose", basis, role="signal", strides=step)
    rest = total - (frames - 1) * step[0] - length
    g = g.through(padded, 3, {2: (0, rest)}).op("Transpose", role="signal", perm=[0, 2, 1])
    return [g.through(reshape_like, x, "unfolded")]
