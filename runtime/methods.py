"""Heatmaps from activations and gradients, for methods other than the one in the artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Maps: TypeAlias = NDArray[np.float32]
Method: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], Maps]


def gradcam(activations: NDArray[Any], gradients: NDArray[Any]) -> Maps:
    """Grad-CAM (Selvaraju et al. 2017): the definition of the artifact's ``heatmap``.

    A channel weighs as much as the spatial mean of its gradient; the map is the ReLU of the
    weighted sum.

    Args:
        activations: float [N, C, *space].
        gradients: float [N, K, C, *space], of the K scores.

    Returns:
        Raw maps, float32 [N, K, *space].
    """
    space = tuple(range(3, gradients.ndim))
    weights = gradients.astype(np.float32).mean(axis=space)
    maps = np.einsum("nkc,nc...->nk...", weights, activations.astype(np.float32))
    return np.maximum(maps, 0)


METHODS: dict[str, Method] = {"gradcam": gradcam}
