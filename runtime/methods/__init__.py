"""Heatmaps from activations and gradients: numpy functions of one signature.

    from graftcam.runtime import METHODS

    maps = METHODS["layercam"](activations, gradients)

``activations`` are float [N, C, *space], ``gradients`` float [N, K, C, *space] of K scores, of any
number of space axes, from an artifact or from elsewhere; the result is raw maps, float32
[N, K, *space]. A method's options are its keyword-only parameters. `exporter.cams` writes the same
formulas as ONNX nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .contrast import check_classes, finercam
from .eigen import eigencam, eigengradcam, kpcacam
from .fem import fem
from .local import gradcam_elementwise, hirescam, layercam
from .maps import Maps
from .weighted import cam, counterfactual, gradcam, gradcam_plus_plus, xgradcam

__all__ = ["METHODS", "SIGNED", "Maps", "Method", "check_classes", "gradcam"]

Method: TypeAlias = Callable[..., Maps]

METHODS: dict[str, Method] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "xgradcam": xgradcam,
    "hirescam": hirescam,
    "layercam": layercam,
    "gradcam-elementwise": gradcam_elementwise,
    "eigencam": eigencam,
    "eigengradcam": eigengradcam,
    "kpcacam": kpcacam,
    "fem": fem,
    "cam": cam,
    "counterfactual": counterfactual,
    "finercam": finercam,
}
"""Every method that needs nothing but activations and gradients, by its id."""

SIGNED: frozenset[str] = frozenset({"cam"})
"""Those whose maps are negative where something speaks against the class."""
