"""`conv_adjoint` is the adjoint of a convolution.

It is one with the kernel flipped and input and output channels exchanged.
At stride 1 it is a plain Conv, which ONNX Runtime runs faster than ConvTranspose; the flip is a
chain of nodes on the shared weights, which it folds at load, so the file does not grow. At larger
strides a ConvTranspose saves the multiplications by stuffed zeros (a third of the time for 3 x 3),
except for depthwise kernels, where its loop over groups costs more than those (5 x 5: 1.6 times as
long).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.emitter import Emitter, dims_of
from .strided import cut, padded
from .window import Window, adjoint_padding, balanced


def conv_adjoint(
    emit: Emitter,
    grad: ir.Value,
    x: ir.Value,
    out: ir.Value,
    weights: ir.Value,
    window: Window,
    groups: int,
) -> ir.Value:
    """Adjoint of a convolution on folded tensors: [KN, O, *out] to [KN, I, *in]."""
    depthwise = groups > 1 and groups == dims_of(weights)[0]
    lower, upper, exact = adjoint_padding(window, dims_of(x)[2:], dims_of(out)[2:])
    if window.unit_stride or depthwise:
        value = grad if window.unit_stride else _stuffed(emit, grad, groups, window)
        crops = {2 + axis: (min(p, 0), min(upper[axis], 0)) for axis, p in enumerate(lower)}
        value = padded(emit, value, len(dims_of(x)), crops)
        pads = [max(width, 0) for width in (*lower, *upper)]
        value = emit.op(
            "Conv", value, flipped(emit, weights, groups), kernel_shape=window.kernel,
            dilations=window.dilations, group=groups, pads=pads,
        )  # fmt: skip
        return value if exact else cut(emit, value, x)
    # Places that no window reached; one stride less one where they are not known, then cut.
    rest = [
        u - r + q + s - 1
        for u, r, q, s in zip(upper, window.reach, window.after, window.strides, strict=True)
    ]
    even, uneven = balanced(window.before, window.after)
    beyond = [r - after for r, (_, after) in zip(rest, uneven.values(), strict=True)]
    value = emit.op(
        "ConvTranspose", grad, weights,
        kernel_shape=window.kernel, strides=window.strides, dilations=window.dilations,
        pads=even * 2, output_padding=[max(b, 0) for b in beyond], group=groups,
    )  # fmt: skip
    crops = {
        axis: (-before, min(b, 0))
        for (axis, (before, _)), b in zip(uneven.items(), beyond, strict=True)
    }
    value = padded(emit, value, len(dims_of(x)), crops)
    return value if exact else cut(emit, value, x)


def _stuffed(emit: Emitter, grad: ir.Value, channels: int, window: Window) -> ir.Value:
    """Zeros put behind every place: a kernel of the strides' size that is 1 in its first cell.

    A tenth of the time of a Pad, which copies single elements.
    """
    kernel = np.zeros((channels, 1, *window.strides))
    kernel.reshape(channels, -1)[:, 0] = 1
    return emit.op(
        "ConvTranspose", grad, emit.constant(kernel, grad.dtype),
        strides=window.strides, pads=[0] * 2 * len(window.strides), group=channels, role="stuffed",
    )  # fmt: skip


def flipped(emit: Emitter, weights: ir.Value, groups: int) -> ir.Value:
    """Weights [O, I / groups, *k] as [I, O / groups, *k], the kernel reversed along every axis."""
    out, inner, *kernel = [extent for extent in dims_of(weights) if isinstance(extent, int)]
    value, rank = weights, len(kernel)
    if groups == 1:
        if (out, inner) != (1, 1):
            value = emit.op("Transpose", value, role="exchanged", perm=[1, 0, *range(2, 2 + rank)])
    elif (out, inner) != (groups, 1):
        value = emit.op("Reshape", value, [groups, out // groups, inner, *kernel], role="grouped")
        value = emit.op("Transpose", value, role="exchanged", perm=[0, 2, 1, *range(3, 3 + rank)])
        value = emit.op(
            "Reshape", value, [groups * inner, out // groups, *kernel], role="exchanged"
        )
    axes = [2 + axis for axis, extent in enumerate(kernel) if extent > 1]
    if axes:
        last, before_first = [-1] * len(axes), [-(2**31)] * len(axes)
        value = emit.op("Slice", value, last, before_first, axes, last, role="flipped")
    return value
