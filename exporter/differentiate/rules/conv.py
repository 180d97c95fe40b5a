"""These rules differentiate convolutions."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.convolution import conv_adjoint, flipped
from ..support.values import fold, readable, static_extent, unfold
from ..support.window import Window, transposed_window_of, window_of


def conv_window(node: ir.Node) -> Window:
    """The window of a Conv; the weights give what ``kernel_shape`` does not."""
    return window_of(node, _kernel(node))


def _kernel(node: ir.Node) -> list[int]:
    return [extent for extent in dims_of(only_input(node, 1))[2:] if isinstance(extent, int)]


def _check_conv(node: ir.Node) -> str | None:
    return _static_weights(node) or readable(conv_window)(node)


def _static_weights(node: ir.Node) -> str | None:
    weights = node.inputs[1]
    if weights is None or weights.shape is None or not weights.shape.is_static():
        return "its weights have no static shape; write it into the model"
    return None


def _conv_selection(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents | None:
    """A 1 x 1 head's adjoint is a row of its weights times the selected class's map."""
    weights, window = only_input(node, 1), conv_window(node)
    pointwise = window.unit_stride and all(k == 1 for k in window.kernel)
    padding = any(window.before) or any(window.after)
    if g.tensor is None or not pointwise or padding or node.attributes.get_int("group", 1) != 1:
        return None
    return [g.selected_rows(weights)]


@vjp("Conv", since=1, inputs=(0,), lazy=True, check=_check_conv, selection=_conv_selection)
def conv(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent, stuffed with zeros to stride 1, convolved with the flipped kernel.

    A cotangent that is constant over space stays so through a 1 x 1 kernel, padded or not.
    """
    x, weights, out = only_input(node), only_input(node, 1), node.outputs[0]
    window, groups = conv_window(node), node.attributes.get_int("group", 1)
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
    ones = [1] * (len(dims_of(weights)) - 2)
    folded = emit.op("Reshape", grad, [-1, *parts_of(out, [1]), *ones], role="folded")
    value = emit.op("Conv", folded, flipped(emit, weights, groups), group=groups)
    shape = [emit.classes, *parts_of(out, [0]), static_extent(weights, 1) * groups, *ones]
    return emit.op("Reshape", value, shape, role="unfolded")


def _transposed_window(node: ir.Node) -> Window:
    return transposed_window_of(node, _kernel(node))


def _check_transposed(node: ir.Node) -> str | None:
    reason = _static_weights(node) or readable(_transposed_window)(node)
    if reason is not None:
        return reason
    window = _transposed_window(node)
    if any(q <= -s for q, s in zip(window.after, window.strides, strict=True)):
        return (
            "its output goes beyond its windows by a stride or more, which ONNX Runtime does not "
            "run; give a smaller output_padding or output_shape"
        )
    return None


@vjp("ConvTranspose", since=1, inputs=(0,), check=_check_transposed)
def conv_transpose(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """A convolution with the same weights and window; places that no input reached fed nothing.

    They are fewer than a stride, so that no further window fits in.
    """
    x, weights, out = only_input(node), only_input(node, 1), node.outputs[0]
    window = _transposed_window(node)
    value = emit.op(
        "Conv", fold(emit, g.value, out), weights,
        kernel_shape=window.kernel, strides=window.strides, dilations=window.dilations,
        pads=[*window.before, *(max(q, 0) for q in window.after)],
        group=node.attributes.get_int("group", 1),
    )  # fmt: skip
    return [g.with_value(unfold(emit, value, x))]
