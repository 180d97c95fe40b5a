"""The Feature Explanation Method. Arguments and results are those of `weighted`."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .maps import Array, Maps, by_channel, for_all


def fem(activations: Array, gradients: Array, *, sigmas: float = 2.0) -> Maps:
    """FEM (Fuad et al. 2020): where channels are rarely strong. It knows no class.

    ReLU(sum_c m_c [A_cp > m_c + sigmas s_c]), where m_c and s_c are mean and standard deviation of
    channel c over space: a channel counts, by its mean, where it is rarely strong, by the paper's
    k-sigma rule. pytorch-grad-cam exchanges the two: it weighs A_cp by the share of such places.

    Args:
        activations: float [N, C, *space].
        gradients: float [N, K, C, *space]; only K matters.
        sigmas: How rare: standard deviations above the mean.

    Raises:
        InputError: ``sigmas`` is no number.
    """
    if not np.isfinite(sigmas):
        raise InputError(f"sigmas={sigmas} is no number of standard deviations; 2 is usual")
    _, a = by_channel(gradients, activations)
    means = a.mean(axis=3, keepdims=True)
    strong = a - means > np.float32(sigmas) * a.std(axis=3, keepdims=True)
    maps = (means * strong).sum(axis=2)
    return for_all(maps, gradients.shape[1], activations.shape[2:])
