"""These rules differentiate convolutions.

The adjoint of a convolution is one with the kernel flipped and input and output channels exchanged.
At stride 1 it is a plain Conv, which ONNX Runtime runs faster than ConvTranspose; the flip is a
chain of nodes on the shared weights, which it folds at load, so the file does not grow. At larger
strides a ConvTranspose saves the multiplications by stuffed zeros (a third of the time for 3 x 3),
except for depthwise kernels, where its loop over groups costs more than those (5 x 5: 1.6 times as
long).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import int_attribute, ints_attribute, only_input, string_attribute
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.strided import cut, padded
from ..support.values import classes, fold, parts_of, unfold
from ..support.window import Window, adjoint_padding, balanced, window_of


def conv_window(node: ir.Node) -> Window:
    """The window of a Conv or ConvTranspose; the weights give what ``kernel_shape`` does not."""
    kernel = [extent for extent in dims_of(only_input(node, 1))[2:] if isinstance(extent, int)]
    return window_of(node, kernel)


def _check_conv(node: ir.Node) -> str | None:
    weights = node.inputs[1]
    if weights is None or weights.shape is None or not weights.shape.is_static():
        return "its weights have no static shape; write it into the model"
    try:
        conv_window(node)
    except ValueError as error:
        return str(error)
    return None


def flipped(emit: Emitter, weights: ir.Value, groups: int) -> ir.Value:
    """Weights [O, I / groups, *k] as [I, O / groups, *k], the kernel reversed along every axis."""
    dims = [extent for extent in dims_of(weights) if isinstance(extent, int)]
    out, inner, *kernel = dims
    rank = len(kernel)
    value = weights
    if groups == 1:
        if (out, inner) != (1, 1):
            value = emit.op("Transpose", value, role="exchanged", perm=[1, 0, *range(2, 2 + rank)])
    elif (out, inner) != (groups, 1):
        value = emit.op(
            "Reshape", value, emit.ints([groups, out // groups, inner, *kernel]), role="grouped"
        )
        value = emit.op("Transpose", value, role="exchanged", perm=[0, 2, 1, *range(3, 3 + rank)])
        value = emit.op(
            "Reshape", value, emit.ints([groups * inner, out // groups, *kernel]), role="exchanged"
        )
    axes = [2 + axis for axis, extent in enumerate(kernel) if extent > 1]
    if axes:
        bounds = ([-1] * len(axes), [-(2**31)] * len(axes), axes, [-1] * len(axes))
        value = emit.op("Slice", value, *(emit.ints(b) for b in bounds), role="flipped")
    return value


def _conv_selection(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents | None:
    """A 1 x 1 head's adjoint is a row of its weights times the selected class's map."""
    weights, window = only_input(node, 1), conv_window(node)
    pointwise = window.unit_stride and all(k == 1 for k in window.kernel)
    padding = any(window.before) or any(window.after)
    if g.tensor is None or not pointwise or padding or int_attribute(node, "group", 1) != 1:
        return None
    return [g.selected_rows(weights)]


@vjp("Conv", since=1, inputs=(0,), lazy=True, check=_check_conv, selection=_conv_selection)
def conv(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent, stuffed with zeros to stride 1, convolved with the flipped kernel.

    A cotangent that is constant over space stays so through a 1 x 1 kernel, padded or not.
    """
    x, weights, out = only_input(node), only_input(node, 1), node.outputs[0]
    window, groups = conv_window(node), int_attribute(node, "group", 1)
    space = set(range(2, len(dims_of(out))))
    pointwise = window.unit_stride and all(k == 1 for k in window.kernel)
    if pointwise and space <= g.spread:
        return [g.expanded({0, 1}).through(_pointwise, out, weights, groups)]
    g = g.expanded().through(fold, out)
    return [g.through(conv_adjoint, x, out, weights, window, groups).through(unfold, x)]


def _pointwise(
    emit: Emitter, grad: ir.Value, out: ir.Value, weights: ir.Value, groups: int
) -> ir.Value:
    """A 1 x 1 convolution of one place, equal to all others."""
    dims = dims_of(weights)
    ones = [1] * (len(dims) - 2)
    folded = emit.op("Reshape", grad, emit.vector([-1, *parts_of(out, [1]), *ones]), role="folded")
    value = emit.op("Conv", folded, flipped(emit, weights, groups), group=groups)
    assert isinstance(dims[1], int)
    shape = emit.vector([classes(emit), *parts_of(out, [0]), dims[1] * groups, *ones])
    return emit.op("Reshape", value, shape, role="unfolded")


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
        value = emit.op(
            "Conv", value, flipped(emit, weights, groups),
            kernel_shape=window.kernel, dilations=window.dilations, group=groups,
            pads=[max(p, 0) for p in lower] + [max(q, 0) for q in upper],
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


def _check_transposed(node: ir.Node) -> str | None:
    if (
        "output_shape" in node.attributes
        or string_attribute(node, "auto_pad", "NOTSET") != "NOTSET"
    ):
        return "output_shape and auto_pad have no gradient rule; give explicit pads"
    reason = _check_conv(node)
    beyond = ints_attribute(node, "output_padding") or []
    if reason is None and any(
        p >= s for p, s in zip(beyond, conv_window(node).strides, strict=False)
    ):
        return f"output_padding={beyond} is not smaller than the strides"
    return reason


@vjp("ConvTranspose", since=1, inputs=(0,), check=_check_transposed)
def conv_transpose(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """A convolution with the same weights and window; ``output_padding`` cells fed nothing."""
    x, weights, out = only_input(node), only_input(node, 1), node.outputs[0]
    window = conv_window(node)
    value = emit.op(
        "Conv", fold(emit, g.value, out), weights,
        kernel_shape=window.kernel, strides=window.strides, dilations=window.dilations,
        pads=[*window.before, *window.after], group=int_attribute(node, "group", 1),
    )  # fmt: skip
    return [g.with_value(unfold(emit, value, x))]
