"""Operators whose outputs carry no derivative, declared one by one."""

from __future__ import annotations

from .registry import declare_zero

# Results that count, compare, index or choose places.
declare_zero("Shape", "Size", "NonZero", "ArgMax", "ArgMin", "IsNaN", "IsInf", "Equal", "Greater")
declare_zero("GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor")
declare_zero("NonMaxSuppression", "SequenceLength", "OptionalHasElement")
declare_zero("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor")
# Results that use their input's shape or type only, or no input at all.
declare_zero("Constant", "ConstantOfShape", "EyeLike", "SequenceEmpty")
declare_zero("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
# Results of integers, text or encoded pictures; MelWeightMatrix rounds its frequencies to bins.
declare_zero("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", "ImageDecoder")
declare_zero("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")
# Piecewise constant: the derivative is zero wherever it exists, as in PyTorch. So is a draw, for
# the random numbers that it compares its probabilities with.
declare_zero("Ceil", "Floor", "Round", "Sign", "Hardmax", "Bernoulli", "Multinomial")
