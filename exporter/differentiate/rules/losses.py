"""These rules differentiate losses of class scores."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import input_of, static_extent, where


def _countable(node: ir.Node) -> str | None:
    if not isinstance(dims_of(only_input(node))[1], int):
        return "the number of classes is unknown; fix it by --shape or at export"
    return None


def _picked(emit: Emitter, node: ir.Node) -> ir.Value:
    """Each label's weight at its class, else 0, in the shape of the scores."""
    x, labels = only_input(node), only_input(node, 1)
    count, tail = static_extent(x, 1), [1] * (len(dims_of(x)) - 2)
    label = emit.op("Unsqueeze", labels, [1], role="label")
    numbers = emit.constant(np.arange(count).reshape(-1, *tail), labels.dtype)
    hit = emit.op("Equal", label, numbers, role="hit")
    if "ignore_index" in node.attributes:
        number = node.attributes["ignore_index"].as_int()
        ignored = emit.op("Equal", label, number, role="ignored")
        hit = emit.op("And", hit, emit.op("Not", ignored, role="counted"), role="hit")
    weights = emit.scalar(1.0, x)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        weights = emit.op("Reshape", only_input(node, 2), [-1, *tail], role="class_weights")
    return where(emit, hit, weights)


def _shares(node: ir.Node, g: Cotangent) -> Cotangent:
    """The cotangent of minus the log probabilities, [K, N, C, ...]."""
    emit = g.emit
    picked, rank = _picked(emit, node), len(dims_of(only_input(node)))
    reduction = node.attributes.get_string("reduction", "mean")
    if reduction == "none":
        g = g.op("Unsqueeze", [2], role="by_class")
    else:
        g = g.op("Reshape", [-1, *[1] * rank], role="everywhere")
    if reduction == "mean":
        picked = emit.op("Div", picked, emit.op("ReduceSum", picked, role="total", keepdims=1))
    return g * picked


@vjp("NegativeLogLikelihoodLoss", since=13, inputs=(0,), check=_countable)
def negative_log_likelihood(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents:
    """``-g w`` at each label's class, over the sum of the weights w for a mean.

    Ignored labels have weight 0; where all are ignored a mean is NaN, as in PyTorch.
    """
    return [-_shares(node, g)]


@vjp("SoftmaxCrossEntropyLoss", since=13, inputs=(0,), check=_countable)
def softmax_cross_entropy(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g w (softmax - 1)`` at each label's class, ``g w softmax`` at the others."""
    shares, by_class = _shares(node, g), 1 - len(dims_of(only_input(node)))
    softmax = input_of(emit, node).op("Softmax", axis=1)
    return [g.with_value(shares.sum([by_class]) * softmax) - shares]
