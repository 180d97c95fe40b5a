"""Finer-CAM shows what distinguishes a class from the classes most like it."""

from __future__ import annotations

from ..checks import check_value
from ..errors import InputError
from .operations import Operations, T, weighted_sum


def finercam(
    ops: Operations[T],
    a: T,
    g: T,
    *,
    gamma: float = 0.6,
    references: int = 3,
    relu: bool = True,
    eigen_smooth: bool = False,
) -> T:
    """Finer-CAM (Zhang et al. 2025) on Grad-CAM: the difference of a class to the nearest others.

    ReLU(sum_c (w_c - gamma u_c) A_c), where w is the class's Grad-CAM weights and u the mean of the
    weights of the nearest ``references`` classes among the K explained ones. w - gamma u is the
    gradient of y - gamma mean(y'), averaged over space. The ReLU comes last.

    The distance is the cosine of the weights. For a linear head it is the paper's, the cosine of
    the classifier's rows. All classes at the same distance count. torch-cam and pytorch-grad-cam
    search all classes and take those with the nearest scores; pytorch-grad-cam also weights them
    by their probabilities.

    If K is not known, as in a graph, a single class counts as its own neighbour: its map is then
    (1 - gamma) times Grad-CAM's.

    Args:
        ops: The operations.
        a: The activations, [N, 1, C, P].
        g: Their gradients, [N, K, C, P], of the classes to distinguish.
        gamma: Factor on the weights of the other classes; 0 is Grad-CAM.
        references: Number of other classes.
        relu: As in `weighted`.
        eigen_smooth: As in `weighted`.

    Raises:
        InputError: K = 1, or an option is out of range.
    """
    check_value("gamma", gamma, float, least=0)
    check_value("references", references, int, least=1)
    check_classes("finercam", ops.classes(g))
    weights = ops.mean(g, 3)
    units = ops.quotient(weights, ops.norm(weights, 2, keep=True))
    near = ops.nearest(ops.inner(units, units), references)
    others = ops.quotient(ops.product(near, weights), ops.sum(near, 2, keep=True))
    contrast = weights - others * gamma
    return weighted_sum(ops, contrast, a, relu=relu, eigen_smooth=eigen_smooth)


def check_classes(method: str, classes: int | None) -> None:
    """Raise InputError if ``method`` compares classes and gets only one."""
    if method == "finercam" and classes == 1:
        raise InputError(
            "method 'finercam' compares classes: explain two or more at once, such as the best "
            "four (top=4)"
        )
