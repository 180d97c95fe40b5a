"""Operators that could carry a derivative and have no rule, on purpose: the reason and a remedy."""

from __future__ import annotations

from .registry import declare_refused

declare_refused(
    "If",
    reason="which branch runs is decided at run time",
    remedy="export the model with the condition fixed, or choose a layer after it",
)
declare_refused(
    "Loop", "Scan", "SequenceMap",
    reason="its body runs a number of times that is known at run time only",
    remedy="export the model with the loop unrolled (torch.onnx.export with dynamo=True does), or "
    "choose a layer after it",
)  # fmt: skip
declare_refused(
    *("SequenceAt", "SequenceConstruct", "SequenceErase", "SequenceInsert"),
    *("ConcatFromSequence", "SplitToSequence"),
    reason="a sequence of tensors whose length or places are not fixed has no cotangent",
    remedy="export the model with Split and Concat, or choose a layer after it",
)
declare_refused(
    "Optional", "OptionalGetElement",
    reason="whether its value exists is decided at run time",
    remedy="export the model with the tensor itself, or choose a layer after it",
)  # fmt: skip
declare_refused(
    "Unique",
    reason="which elements are left over depends on their values, and equal ones have no "
    "derivative",
    remedy="choose a layer after it",
)
declare_refused(
    "MaxRoiPool",
    reason="regions rounded to whole cells are the older form of RoiAlign",
    remedy="export the model with RoiAlign (torchvision.ops.roi_align), or choose a layer after it",
)
declare_refused(
    *("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"),
    reason="it computes with rounded integers, which have no derivative",
    remedy="give the model as it was before quantisation, or quantise it with pairs of "
    "QuantizeLinear and DequantizeLinear",
    quantised=True,
)
