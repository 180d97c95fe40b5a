"""These methods weight whole channels: Grad-CAM, and methods that differ from it by the weights.

They are formulas over `Operations`. They take activations a [N, 1, C, P] and gradients g of K
scores, [N, K, C, P], and return raw maps [N, K, P]: the weighted sum over the channels, whose
negative part the ReLU sets to 0. Their common options:

    relu: False leaves the negative part, the evidence against the class, in the map.
    eigen_smooth: Take the first principal component of the weighted channels instead of their sum,
        as the option of the same name in pytorch-grad-cam; see `sum_of`.

A is an activation, g its gradient, c a channel, p a place, P the number of places. pytorch-grad-cam
and torch-cam stretch every map to [0, 1] by its own minimum and maximum; these maps are raw.
"""

from __future__ import annotations

from ..errors import InputError
from .operations import Operations, T, weighted_sum


def gradcam(ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False) -> T:
    """Grad-CAM (Selvaraju et al. 2017): the definition of the artifact's ``heatmap``.

    ReLU(sum_c w_c A_c), where w_c = mean_p g_cp. The ReLU leaves only evidence for the class;
    captum's LayerGradCam has no ReLU by default.
    """
    weights = ops.mean(g, 3)
    return weighted_sum(ops, weights, a, relu=relu, eigen_smooth=eigen_smooth)


def gradcam_plus_plus(
    ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False
) -> T:
    """Grad-CAM++ (Chattopadhay et al. 2018): several instances of a class count equally.

    ReLU(sum_c w_c A_c), where w_c = sum_p u_cp ReLU(g_cp) and
    u = g^2 / (2 g^2 + g^3 sum_p A_cp), equation 19, where the paper differentiates the exponential
    of the score. It is computed as 1 / (2 + g sum_p A_cp), and 0 if the divisor is 0, so that
    gradients of any size count. pytorch-grad-cam adds 1e-6 to the divisor, which suppresses
    gradients below 1e-3. torch-cam 0.5 divides a copy, so that its weights are sum_p ReLU(g)^3.
    The method is for activations after a ReLU: if a channel's sum is negative, its weight can
    explode.
    """
    divisor = g * ops.sum(a, 3, keep=True) + 2.0
    weights = ops.sum(ops.quotient(ops.relu(g), divisor), 3)
    return weighted_sum(ops, weights, a, relu=relu, eigen_smooth=eigen_smooth)


def xgradcam(ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False) -> T:
    """XGrad-CAM (Fu et al. 2020): the weights that fit sensitivity and conservation best.

    ReLU(sum_c w_c A_c), where w_c = sum_p A_cp g_cp / sum_p A_cp, 0 if that sum is 0.
    pytorch-grad-cam and torch-cam add 1e-7 and 1e-8 to it. The method is for activations after a
    ReLU: if positive and negative ones cancel, the weights explode in all three.
    """
    products = ops.sum(g * a, 3)
    weights = ops.quotient(products, ops.sum(a, 3))
    return weighted_sum(ops, weights, a, relu=relu, eigen_smooth=eigen_smooth)


def counterfactual(
    ops: Operations[T], a: T, g: T, *, relu: bool = True, eigen_smooth: bool = False
) -> T:
    """Counterfactual Grad-CAM (Selvaraju et al. 2017, section 3.3): evidence against the class.

    ReLU(sum_c w_c A_c), where w_c = -mean_p g_cp: without these places the score would be higher.
    """
    weights = -ops.mean(g, 3)
    return weighted_sum(ops, weights, a, relu=relu, eigen_smooth=eigen_smooth)


def cam(ops: Operations[T], a: T, g: T, *, relu: bool = False, eigen_smooth: bool = False) -> T:
    """CAM (Zhou et al. 2016), for layers that are followed by an average over space.

    sum_c w_c A_c, where w_c = sum_p g_cp is the weight of the average of channel c in the score
    (for a linear head an entry of its matrix). It is signed, as in the paper; its positive part is
    P times Grad-CAM's map (Grad-CAM paper, section 3.1).

    Raises:
        InputError: The gradient differs between places, so that no average follows the layer.
    """
    if not ops.is_constant(g):
        raise InputError(
            "method 'cam' is defined for a layer that is averaged over space before the head; this "
            "one's gradient differs from place to place: use 'gradcam', which generalises it"
        )
    weights = ops.sum(g, 3)
    return weighted_sum(ops, weights, a, relu=relu, eigen_smooth=eigen_smooth)
