"""Finer-CAM: what tells a class from those most like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .maps import Array, Maps, quotient, weighted_sum
from .weighted import mean_gradients


def finercam(
    activations: Array,
    gradients: Array,
    *,
    gamma: float = 0.6,
    references: int = 3,
    relu: bool = True,
    eigen_smooth: bool = False,
) -> Maps:
    """Finer-CAM (Zhang et al. 2025) on Grad-CAM: what tells each class from its nearest others.

    ReLU(sum_c (w_c - gamma u_c) A_c), where w is Grad-CAM's weights of the class and u the mean of
    those of its nearest ``references`` classes among the K explained ones: the gradient of
    y - gamma mean(y'), averaged over space. The ReLU comes last.

    Nearest by the cosine of the weights, which for a linear head is the paper's: that of the
    classifier's rows; classes equally near count all. torch-cam and pytorch-grad-cam look among
    all classes and take those with the nearest scores; pytorch-grad-cam also weighs them by their
    probabilities.

    Args:
        activations: float [N, C, *space].
        gradients: float [N, K, C, *space], of the classes to tell apart.
        gamma: How much of the others is subtracted; 0 is Grad-CAM.
        references: How many others.
        relu: As in `weighted`.
        eigen_smooth: As in `weighted`.

    Raises:
        InputError: K = 1, or an option is out of range.
    """
    if not (np.isfinite(gamma) and gamma >= 0):
        raise InputError(f"gamma={gamma} is out of range; give 0 (plain Grad-CAM) or more")
    if references < 1:
        raise InputError(f"references={references} is out of range; give 1 or more")
    classes = gradients.shape[1]
    check_classes("finercam", classes)
    weights = mean_gradients(gradients)
    if classes:
        near = _nearest(weights, min(references, classes - 1)).astype(np.float32)
        others = near @ weights / near.sum(axis=2, keepdims=True)
        weights = weights - np.float32(gamma) * others
    return weighted_sum(weights, activations, relu=relu, eigen_smooth=eigen_smooth)


def check_classes(method: str, classes: int) -> None:
    """Raise InputError where ``method`` contrasts classes and has but one."""
    if method == "finercam" and classes == 1:
        raise InputError(
            "method 'finercam' tells classes apart: explain two or more at once, such as the best "
            "four (top=4)"
        )


def _nearest(weights: Maps, count: int) -> NDArray[np.bool_]:
    """Which ``count`` others are nearest to each class: bool [N, K, K] for weights [N, K, C]."""
    units = quotient(weights, np.linalg.norm(weights, axis=2, keepdims=True))
    likeness = units @ np.swapaxes(units, 1, 2)
    itself = np.arange(weights.shape[1])
    likeness[:, itself, itself] = -2  # less than any other's
    return likeness >= np.sort(likeness, axis=2)[:, :, -count, None]
