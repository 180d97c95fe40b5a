"""An artifact's gradients in the layout that the layer has in the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from .differences import Array
from .trial import UnclearError


def in_own_layout(gradients: Array, layer: Any, shape: tuple[int, ...]) -> Array:
    """Gradients [N, K, C, *space] as [N, K, *layer], for a layer of this shape without its batch.

    Raises:
        UnclearError: The artifact leaves part of the layer out.
    """
    if layer.layout == "channels_last":
        gradients = np.moveaxis(gradients, 2, -1)
    elif layer.layout == "tokens":
        gradients = np.moveaxis(gradients.reshape(*gradients.shape[:3], -1), 2, -1)
    if gradients.shape[2:] != shape:
        raise UnclearError(f"gradients {gradients.shape} of a layer {shape}, {layer.layout}")
    return gradients
