"""These methods weight every place separately: gradient times activation, with a ReLU somewhere.

Arguments and results are those of `weighted`. The maps are finer than those of methods that weight
whole channels. They stay faithful in layers far from the head, where the gradient of a channel
differs between places.
"""

from __future__ import annotations

from .operations import Operations, T, sum_of


def hirescam(ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False) -> T:
    """HiResCAM (Draelos and Carin 2020): exactly the places that make up the score.

    ReLU(sum_c g_cp A_cp). With ``relu=False`` and a single linear layer after it, pooled or not,
    the sum of the map is the score minus its bias. With ``eigen_smooth`` it is `eigengradcam`,
    without this property. If a LayerNorm over the channels follows, the sum is 0 except for
    rounding.
    """
    return sum_of(ops, g * a, relu=relu, eigen_smooth=eigen_smooth)


def layercam(ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False) -> T:
    """LayerCAM (Jiang et al. 2021), for early layers too.

    ReLU(sum_c ReLU(g_cp) A_cp). The outer ReLU matters only where activations are negative.
    """
    terms = ops.relu(g) * a
    return sum_of(ops, terms, relu=relu, eigen_smooth=eigen_smooth)


def gradcam_elementwise(
    ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False
) -> T:
    """Element-wise Grad-CAM, as in pytorch-grad-cam, which names no paper.

    sum_c ReLU(g_cp A_cp): HiResCAM without the channels that are evidence against the class. The
    outer ReLU matters only with ``eigen_smooth``.
    """
    terms = ops.relu(g * a)
    return sum_of(ops, terms, relu=relu, eigen_smooth=eigen_smooth)
