"""`METHODS` lists every method by its id, with its needs, its source and whether it is signed."""

from __future__ import annotations

from ..inputs.selection import check_name
from . import attention, gradient, perturbation
from .contrast import finercam
from .eigen import eigencam, eigengradcam, kpcacam
from .fem import fem
from .local import gradcam_elementwise, hirescam, layercam
from .method import Method
from .weighted import cam, counterfactual, gradcam, gradcam_plus_plus, xgradcam

_BOTH = ("activations", "gradients")
_COPIES = ("input_gradients", "images")
_HEAD = ("activations", "head")

METHODS: dict[str, Method] = {
    "gradcam": Method(gradcam, _BOTH, "Selvaraju et al. 2017"),
    "gradcam++": Method(gradcam_plus_plus, _BOTH, "Chattopadhay et al. 2018"),
    "xgradcam": Method(xgradcam, _BOTH, "Fu et al. 2020"),
    "hirescam": Method(hirescam, _BOTH, "Draelos and Carin 2020"),
    "layercam": Method(layercam, _BOTH, "Jiang et al. 2021"),
    "gradcam-elementwise": Method(gradcam_elementwise, _BOTH, "pytorch-grad-cam"),
    "eigencam": Method(eigencam, ("activations",), "Muhammad and Yeasin 2020"),
    "eigengradcam": Method(eigengradcam, _BOTH, "pytorch-grad-cam"),
    "kpcacam": Method(kpcacam, ("activations",), "Karmani et al. 2024"),
    "fem": Method(fem, ("activations",), "Fuad et al. 2020"),
    "cam": Method(cam, _BOTH, "Zhou et al. 2016", signed=True),
    "counterfactual": Method(counterfactual, _BOTH, "Selvaraju et al. 2017"),
    "finercam": Method(finercam, _BOTH, "Zhang et al. 2025"),
    "attention": Method(attention.attention, ("attention",), "raw attention"),
    "rollout": Method(attention.rollout, ("attention",), "Abnar and Zuidema 2020"),
    "gradient-rollout": Method(attention.gradient_rollout, ("attention",), "Chefer et al. 2021"),
    "legrad": Method(attention.legrad, ("attention",), "Bousselham et al. 2024"),
    "grad-eclip": Method(attention.grad_eclip, ("attention",), "Zhao et al. 2024"),
    "saliency": Method(gradient.saliency, ("input_gradients",), "Simonyan et al. 2014"),
    "input-x-gradient": Method(
        gradient.input_x_gradient, _COPIES, "Shrikumar et al. 2016", signed=True
    ),
    "smoothgrad": Method(gradient.smoothgrad, _COPIES, "Smilkov et al. 2017"),
    "smoothgrad-squared": Method(gradient.smoothgrad_squared, _COPIES, "Hooker et al. 2019"),
    "vargrad": Method(gradient.vargrad, _COPIES, "Adebayo et al. 2018"),
    "integrated-gradients": Method(
        gradient.integrated_gradients, _COPIES, "Sundararajan et al. 2017", signed=True
    ),
    "guided-backprop": Method(
        gradient.guided_backprop, ("guided_gradients",), "Springenberg et al. 2015"
    ),
    "deconvnet": Method(gradient.deconvnet, ("deconvnet_gradients",), "Zeiler and Fergus 2014"),
    "guided-gradcam": Method(
        gradient.guided_gradcam, ("guided_gradients", "heatmap"), "Selvaraju et al. 2017"
    ),
    "fullgrad": Method(gradient.fullgrad, ("fullgrad",), "Srinivas and Fleuret 2019"),
    "scorecam": Method(perturbation.scorecam, ("activations", "images"), "Wang et al. 2020"),
    "rise": Method(perturbation.rise, ("images",), "Petsiuk et al. 2018", signed=True),
    "ablationcam": Method(perturbation.ablationcam, _HEAD, "Desai and Ramaswamy 2020"),
    "reciprocam": Method(perturbation.reciprocam, _HEAD, "Byun and Lee 2022"),
    "shapleycam": Method(perturbation.shapleycam, _HEAD, "Cai 2025"),
}
"""Every method by its id."""

ATTENTION_METHODS = [name for name, method in METHODS.items() if "attention" in method.needs]
"""The methods that follow attention; a graph can hold their maps as well."""


def find_method(method: str) -> Method:
    """Return the method with this id.

    Raises:
        InputError: There is no such method.
    """
    return METHODS[check_name("method", method, METHODS)]
