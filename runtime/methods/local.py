"""Methods that weigh every place on its own: gradient times activation, with a ReLU somewhere.

Arguments and results are those of `weighted`. They are finer than methods that weigh whole
channels and stay faithful in layers far from the head, where a channel's gradient differs from
place to place.
"""

from __future__ import annotations

from .operations import Operations, T, sum_of


def hirescam(ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False) -> T:
    """HiResCAM (Draelos and Carin 2020): exactly the places that the score is made of.

    ReLU(sum_c g_cp A_cp). With ``relu=False`` and a single linear layer behind, pooled or not, the
    map sums up to the score less its bias. Smoothing gives that up, and is then `eigengradcam`.
    Where a LayerNorm over the channels follows, the sum is 0 but for rounding.
    """
    return sum_of(ops, g * a, relu=relu, eigen_smooth=eigen_smooth)


def layercam(ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False) -> T:
    """LayerCAM (Jiang et al. 2021), made for early layers.

    ReLU(sum_c ReLU(g_cp) A_cp). The outer ReLU matters only where activations are negative.
    """
    terms = ops.relu(g) * a
    return sum_of(ops, terms, relu=relu, eigen_smooth=eigen_smooth)


def gradcam_elementwise(
    ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False
) -> T:
    """Element-wise Grad-CAM (as pytorch-grad-cam has it; it names no paper).

    sum_c ReLU(g_cp A_cp): HiResCAM, but channels that speak against the class take nothing away.
    The outer ReLU changes nothing but a smoothed map.
    """
    terms = ops.relu(g * a)
    return sum_of(ops, terms, relu=relu, eigen_smooth=eigen_smooth)
