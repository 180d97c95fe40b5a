"""These methods are principal components of the channels; arguments and results as in `weighted`.

A method without gradients does not depend on the class: its map [N, 1, P] serves all K classes.

`Operations.first_component` chooses the sign of a component. pytorch-grad-cam leaves it to the
decomposition, so that its ReLU may show the background. It also replaces NaN by 0; here the map of
an image with NaN or infinity is NaN.
"""

from __future__ import annotations

from ..checks import check_value
from ..errors import InputError
from ..inputs.selection import check_name
from .operations import Kernel, Operations, T, sum_of

KERNELS = ("sigmoid", "rbf")
MOST_PLACES = 4096  # a kernel matrix of 128 MiB an image


def eigencam(ops: Operations[T], a: T, *, centre: bool = True) -> T:
    """Eigen-CAM (Muhammad and Yeasin 2020): the first principal component of the activations.

    ReLU(v A), where v is the first principal direction of the channels. The paper decomposes A
    itself (``centre=False``); by default each channel's mean is subtracted first, as in
    pytorch-grad-cam.
    """
    return ops.relu(ops.first_component(a, centre=centre))


def eigengradcam(ops: Operations[T], a: T, g: T) -> T:
    """Eigen-Grad-CAM (pytorch-grad-cam): Eigen-CAM of gradients times activations, class by class.

    ReLU(v (g A)), where v is the first principal direction of the channels of g A, after the mean
    of each channel is subtracted.
    """
    return sum_of(ops, g * a, relu=True, eigen_smooth=True)


def kpcacam(ops: Operations[T], a: T, *, kernel: str = "sigmoid", gamma: float | None = None) -> T:
    """KPCA-CAM (Karmani et al. 2024): Eigen-CAM by kernel PCA.

    The ReLU of the first component of the P places under a kernel. Memory grows with P^2, time
    with P^3.

    Args:
        ops: The operations.
        a: The activations, [N, 1, C, P].
        kernel: ``sigmoid`` or ``rbf``, see `Kernel`.
        gamma: Its scale; None: 1 / C.

    Raises:
        InputError: The kernel is unknown, ``gamma`` is not positive, or there are too many places.
    """
    check_name("kernel", kernel, KERNELS)
    check_value("gamma", gamma, float | None)
    if gamma is not None and gamma <= 0:
        raise InputError(f"gamma={gamma} must be a positive number; leave it out for 1 / channels")
    places = ops.places(a)
    if places is not None and places > MOST_PLACES:
        raise InputError(
            f"method 'kpcacam' compares every place with every other: {places} are too many "
            f"(at most {MOST_PLACES}); choose a later layer, or 'eigencam'"
        )
    return ops.relu(ops.first_component(a, kernel=Kernel(kernel, gamma)))
