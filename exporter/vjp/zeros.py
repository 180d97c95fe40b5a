"""Operators whose outputs carry no derivative, declared one by one."""

from __future__ import annotations

from .registry import declare_zero

# Results that count, compare or index.
declare_zero("Shape", "Size", "NonZero", "ArgMax", "ArgMin", "IsNaN", "IsInf", "Equal", "Greater")
declare_zero("GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor", "OneHot")
# Results that use their input's shape or type only.
declare_zero("ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Range")
# Piecewise constant: the derivative is zero wherever it exists, as in PyTorch.
declare_zero("Ceil", "Floor", "Round", "Sign")
