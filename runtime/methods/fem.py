"""FEM, the Feature Explanation Method, is a formula like those of `weighted`."""

from __future__ import annotations

from ..checks import check_value
from .operations import Operations, T


def fem(ops: Operations[T], a: T, *, sigmas: float = 2.0) -> T:
    """FEM (Fuad et al. 2020): places where channels are unusually strong, for all classes alike.

    ReLU(sum_c m_c [A_cp > m_c + sigmas s_c]), where m_c and s_c are mean and standard deviation of
    channel c over space. A channel adds its mean at the places that exceed the paper's k-sigma
    threshold. pytorch-grad-cam exchanges the two: it weights A_cp by the share of such places.

    Args:
        ops: The operations.
        a: The activations, [N, 1, C, P].
        sigmas: The threshold: standard deviations above the mean.

    Raises:
        InputError: ``sigmas`` is no number.
    """
    check_value("sigmas", sigmas, float)
    means = ops.mean(a, 3, keep=True)
    centred = a - means
    deviation = ops.root(ops.mean(centred * centred, 3, keep=True))
    strong = ops.above(centred, deviation * sigmas)
    return ops.relu(ops.sum(means * strong, 2))
