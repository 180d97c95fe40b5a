"""Principal components of the channels. Arguments and results are those of `weighted`.

The sign of a component is chosen, see `first_component`: pytorch-grad-cam leaves it to the
decomposition, so that its ReLU may keep the background. It also replaces NaN by 0; here the map of
a picture with NaN or infinity is NaN.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..inputs.selection import known
from .component import first_component, first_kernel_component
from .maps import Array, Maps, by_channel, for_all, sum_of

KERNELS = ("sigmoid", "rbf")
MOST_PLACES = 4096  # a kernel matrix of 128 MiB a picture


def eigencam(activations: Array, gradients: Array, *, centre: bool = True) -> Maps:
    """Eigen-CAM (Muhammad and Yeasin 2020): what the channels have most in common.

    ReLU(v A), where v is the first principal direction of the channels. The paper decomposes A as
    it is (``centre=False``); by default each channel's mean is subtracted first, as
    pytorch-grad-cam does. It knows no class: all K maps are the same.
    """
    _, a = by_channel(gradients, activations)
    component = first_component(a, centre=centre)
    return for_all(component, gradients.shape[1], activations.shape[2:])


def eigengradcam(activations: Array, gradients: Array) -> Maps:
    """Eigen-Grad-CAM (pytorch-grad-cam): Eigen-CAM of gradients times activations, class by class.

    ReLU(v (g A)), where v is the first principal direction of the channels of g A, each less its
    mean.
    """
    g, a = by_channel(gradients, activations)
    return sum_of(g * a, activations.shape[2:], eigen_smooth=True)


def kpcacam(
    activations: Array, gradients: Array, *, kernel: str = "sigmoid", gamma: float | None = None
) -> Maps:
    """KPCA-CAM (Karmani et al. 2024): Eigen-CAM by kernel PCA. It knows no class either.

    The ReLU of the first component of the P places under a kernel. Memory grows with P^2, time
    with P^3.

    Args:
        activations: float [N, C, *space].
        gradients: float [N, K, C, *space]; only K matters.
        kernel: ``sigmoid`` or ``rbf``, see `first_kernel_component`.
        gamma: Its scale; None: 1 / C, scikit-learn's choice.

    Raises:
        InputError: The kernel is unknown, ``gamma`` is not positive, or there are too many places.
    """
    known("kernel", kernel, KERNELS)
    if gamma is not None and not (np.isfinite(gamma) and gamma > 0):
        raise InputError(f"gamma={gamma} must be a positive number; leave it out for 1 / channels")
    _, a = by_channel(gradients, activations)
    channels, places = a.shape[2:]
    if places > MOST_PLACES:
        raise InputError(
            f"method 'kpcacam' compares every place with every other: {places} are too many "
            f"(at most {MOST_PLACES}); choose a later layer, or 'eigencam'"
        )
    scale = 1 / channels if gamma is None else gamma
    # One picture at a time: the matrices are large.
    found = [first_kernel_component(rows[0], kernel, scale) for rows in a]
    maps = np.reshape(found, (len(a), 1, places))
    return for_all(maps, gradients.shape[1], activations.shape[2:])
