"""Operators that ONNX Runtime has in float32 only, written out in float64.

The ONNX reference evaluator is slow or wrong for them. `Float64Node` compares what they give with
ONNX Runtime's float32 kernel before it believes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# From a node's attributes and its inputs to its output.
Formula: TypeAlias = Callable[..., Array]


def _erf(attributes: Mapping[str, Any], x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def _global_max_pool(attributes: Mapping[str, Any], x: Array) -> Array:
    """The maximum over all axes behind the channels."""
    return x.max(axis=_space(x), keepdims=True)


def _global_lp_pool(attributes: Mapping[str, Any], x: Array) -> Array:
    """The norm over all axes behind the channels."""
    p = attributes.get("p", 2)
    return (np.abs(x) ** p).sum(axis=_space(x), keepdims=True) ** (1 / p)


def _instance_normalization(
    attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array
) -> Array:
    """Each channel of each image, less its mean, over its standard deviation."""
    centred = x - x.mean(axis=_space(x), keepdims=True)
    variance = (centred**2).mean(axis=_space(x), keepdims=True)
    by_channel = (-1, *[1] * (x.ndim - 2))
    unit = centred / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return unit * scale.reshape(by_channel) + bias.reshape(by_channel)


def _lrn(attributes: Mapping[str, Any], x: Array) -> Array:
    """Each number over a power of the sum of squares in the channels around it."""
    size, channels = attributes["size"], x.shape[1]
    before = (size - 1) // 2
    around = [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
    squares = np.pad(x**2, around)
    total = sum(squares[:, first : first + channels] for first in range(size))
    alpha, beta = attributes.get("alpha", 1e-4), attributes.get("beta", 0.75)
    return x / (attributes.get("bias", 1.0) + alpha / size * total) ** beta


def _gelu(attributes: Mapping[str, Any], x: Array) -> Array:
    """The number times its chance in the normal distribution, or in one by a tanh."""
    if attributes.get("approximate", b"none") == b"tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(attributes, x / math.sqrt(2)))


def _mean_variance(attributes: Mapping[str, Any], x: Array) -> Array:
    """Less the mean and over the standard deviation, along some axes."""
    axes = tuple(attributes.get("axes", (0, 2, 3)))
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred / (np.sqrt((centred**2).mean(axis=axes, keepdims=True)) + 1e-9)


def _space(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


FORMULAS: Mapping[str, Formula] = {
    "Erf": _erf,
    "Gelu": _gelu,
    "GlobalLpPool": _global_lp_pool,
    "GlobalMaxPool": _global_max_pool,
    "InstanceNormalization": _instance_normalization,
    "LRN": _lrn,
    "MeanVarianceNormalization": _mean_variance,
}
"""By operator of the default domain."""
