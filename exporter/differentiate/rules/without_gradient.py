"""This module declares the operators without a rule: those with no derivative, and the refused.

A refused operator could carry a derivative; its declaration gives the reason and a remedy.
"""

from __future__ import annotations

from ...graph.integer_arithmetic import DYNAMIC, QOPERATOR
from ..registry import declare_refused, declare_zero

declare_refused(
    "If",
    reason="which branch runs is decided at run time",
    remedy="export the model with the condition fixed, or choose a layer after it",
)
declare_refused(
    "Loop", "SequenceMap",
    reason="its body runs a number of times that is known at run time only, or too often to write "
    "all of them out",
    remedy="export the model with the loop unrolled (torch.onnx.export with dynamo=True does), or "
    "choose a layer after it",
)  # fmt: skip
declare_refused(
    "Scan",
    reason="its length is known at run time only, or its steps are too many to write them out",
    remedy="fix the length by --shape, or choose a layer after it",
)
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
for kind, operators in (
    (DYNAMIC, ("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")),
    (QOPERATOR, ("QLinearConv", "QLinearMatMul")),
):
    declare_refused(
        *operators, reason=f"{kind.word}: {kind.reason}", remedy=kind.remedy, quantised=True
    )


# Results that count, compare, index or choose places.
declare_zero("Shape", "Size", "NonZero", "ArgMax", "ArgMin", "IsNaN", "IsInf", "Equal", "Greater")
declare_zero("GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor")
declare_zero("NonMaxSuppression", "SequenceLength", "OptionalHasElement")
declare_zero("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor")
# Results that use their input's shape or type only, or no input at all.
declare_zero("Constant", "ConstantOfShape", "EyeLike", "SequenceEmpty")
declare_zero("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
# Results of integers, text or encoded images; MelWeightMatrix rounds its frequencies to bins.
declare_zero("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", "ImageDecoder")
declare_zero("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")
# Piecewise constant: the derivative is zero wherever it exists, as in PyTorch. So is a draw, for
# the random numbers that it compares its probabilities with.
declare_zero("Ceil", "Floor", "Round", "Sign", "Hardmax", "Bernoulli", "Multinomial")
