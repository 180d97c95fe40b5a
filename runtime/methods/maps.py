"""What the methods share: a weighted sum over the channels, or their first component instead."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .component import first_component

Array: TypeAlias = NDArray[Any]
Maps: TypeAlias = NDArray[np.float32]


def single(tensor: Array) -> Maps:
    """The tensor in float32, in which the artifact computes as well."""
    return tensor.astype(np.float32, copy=False)


def by_channel(gradients: Array, activations: Array) -> tuple[Maps, Maps]:
    """Gradients [N, K, C, P] and activations [N, 1, C, P], their P places in one row."""
    count, classes, channels, *space = gradients.shape
    places = math.prod(space)
    return (
        single(gradients).reshape(count, classes, channels, places),
        single(activations).reshape(count, 1, channels, places),
    )


def quotient(dividend: Array, divisor: Array) -> Maps:
    """``dividend / divisor``, and 0 where the divisor is 0."""
    shape = np.broadcast_shapes(dividend.shape, divisor.shape)
    return np.divide(
        dividend, divisor, out=np.zeros(shape, np.float32), where=divisor != 0, casting="same_kind"
    )


def weighted_sum(
    weights: Array, activations: Array, *, relu: bool = True, eigen_smooth: bool = False
) -> Maps:
    """The activations' sum over the channels, each times its weight.

    Args:
        weights: [N, K, C].
        activations: [N, C, *space].
        relu: Set what is negative to 0.
        eigen_smooth: As in `sum_of`.

    Returns:
        float32 [N, K, *space].
    """
    rows = single(activations).reshape(*activations.shape[:2], math.prod(activations.shape[2:]))
    space = activations.shape[2:]
    if eigen_smooth:
        return sum_of(weights[..., None] * rows[:, None], space, relu=relu, eigen_smooth=True)
    return _shaped(single(weights) @ rows, space, relu=relu)


def sum_of(
    terms: Array, space: tuple[int, ...], *, relu: bool = True, eigen_smooth: bool = False
) -> Maps:
    """The sum of ``terms`` over the channels.

    Args:
        terms: [N, K, C, P].
        space: The extents that the P places have.
        relu: Set what is negative to 0.
        eigen_smooth: Their first principal component instead of the sum: what most channels
            agree on, which leaves out much of what only a few show.

    Returns:
        float32 [N, K, *space].
    """
    summed = first_component(terms) if eigen_smooth else terms.sum(axis=2)
    return _shaped(summed, space, relu=relu)


def for_all(maps: Array, classes: int, space: tuple[int, ...]) -> Maps:
    """The ReLU of maps [N, 1, P] that know no class, once for each of ``classes``."""
    return np.repeat(_shaped(maps, space, relu=True), classes, axis=1)


def _shaped(maps: Array, space: tuple[int, ...], *, relu: bool) -> Maps:
    laid = single(maps).reshape(*maps.shape[:2], *space)
    return np.maximum(laid, 0) if relu else laid
