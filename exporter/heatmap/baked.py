"""Heatmaps beside Grad-CAM as ONNX nodes, for callers that have no numpy.

Each function gives what its namesake in `runtime.methods` does with default options; formulas,
papers and conventions stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from ...runtime.inputs.selection import known
from ...runtime.methods.eigen import MOST_PLACES
from ..differentiate.cotangent import Cotangent
from ..errors import LayerError
from ..graph.emitter import Emitter, dims_of
from .channel_rows import Flat
from .class_agnostic import eigencam, eigengradcam, fem, kpcacam
from .finercam import finercam
from .gradcam import Maps, Target
from .weighted import (
    cam,
    counterfactual,
    gradcam_elementwise,
    gradcam_plus_plus,
    hirescam,
    layercam,
    xgradcam,
)

BAKED: dict[str, Callable[[Emitter, Flat], ir.Value]] = {
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
"""From a layer's activations and gradients to maps [N, K, *space], by the method's id."""


def check_methods(methods: str | Sequence[str]) -> list[str]:
    """The methods to bake, each once; Grad-CAM is in every artifact.

    Raises:
        InputError: One is unknown.
    """
    methods = [methods] if isinstance(methods, str) else methods
    wanted = [known("method", method, ["gradcam", *BAKED]) for method in methods]
    return [method for method in dict.fromkeys(wanted) if method != "gradcam"]


def bake(emit: Emitter, method: str, target: Target, cotangent: Cotangent, maps: Maps) -> ir.Value:
    """Add a method's map of a layer.

    Args:
        emit: Where nodes are added.
        method: Its id.
        target: The layer.
        cotangent: Its gradient as it was found, which knows where it is constant.
        maps: Its tensors as they are published.

    Returns:
        float32 [N, K, *space].

    Raises:
        LayerError: The method is not defined for the layer.
    """
    flat = Flat.of(emit, maps.activations, maps.gradients)
    if method == "cam" and not cotangent.spread.issuperset(_space(target)):
        raise LayerError(
            f"method 'cam' is defined for a layer that is averaged over space before the head; "
            f"the gradient of {target.name!r} differs from place to place: leave it out, Grad-CAM "
            "generalises it"
        )
    if method == "kpcacam" and (flat.places or 0) > MOST_PLACES:
        raise LayerError(
            f"method 'kpcacam' compares every place with every other: {target.name!r} has "
            f"{flat.places}, more than {MOST_PLACES}; choose a later layer, or 'eigencam'"
        )
    with emit.scope(f"cam/{method}"):
        return BAKED[method](emit, flat)


def _space(target: Target) -> range:
    """The axes of the layer's value that are space."""
    rank = len(dims_of(target.value))
    if target.arrangement.layout == "channels_first":
        return range(2, rank)
    return range(1, rank - 1)
