"""Calls of tf-keras-vis and Xplique, and functions that make them.

This module runs as a script in an environment of its own: ``PACKAGE given.npz taken.npz``. It
imports nothing of graftcam.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np

from .case import LAYER, Array, Case
from .keras_twin import build_twin

_ZOOMED = "zoomed, stretched"
_ROUNDED = "rounding may turn a ReLU near 0 on or off: TensorFlow adds in another order"

TF_KERAS_VIS = (
    Case("Gradcam", "gradcam", convert=_ZOOMED),
    Case("GradcamPlusPlus", "gradcam++", convert=_ZOOMED,
         why="differentiates exp(score), and divides the second-order weights by their sum"),
    Case("Layercam", "layercam", convert=_ZOOMED),
    Case("Scorecam", "scorecam", convert=_ZOOMED,
         why="weights are the masked images' probabilities, not their softmax over the channels; "
             "its masks are resized corner on corner"),
    Case("Saliency", "saliency", convert="stretched", why=_ROUNDED),
    Case("Saliency, smooth_samples=100, smooth_noise=0.15", "smoothgrad", {"samples": 100},
         convert="stretched",
         why="averages magnitudes, not gradients; other random numbers"),
)  # fmt: skip

XPLIQUE = (
    Case("GradCAM", "gradcam", convert="resized"),
    Case("GradCAMPP", "gradcam++", convert="resized",
         why="its divisor has the channel's mean in place of the sum, its weights are means over "
             "the 196 places"),
    Case("Saliency, reducer=None", "saliency", why=_ROUNDED),
    Case('GradientInput, reducer="sum"', "input-x-gradient"),
    Case('IntegratedGradients, reducer="sum", steps=300', "integrated-gradients",
         {"baseline": 0, "steps": 300},
         why="trapezoidal rule; graftcam's is Gauss-Legendre's"),
    Case("GuidedBackprop, reducer=None", "guided-backprop"),
    Case("DeconvNet, reducer=None", "deconvnet"),
    Case("Rise", "rise",
         why="random masks; divides by how often a place was seen, and keeps the mean"),
)  # fmt: skip


def tf_keras_vis(given: Mapping[str, Array]) -> dict[str, Array]:
    """Return the maps of tf-keras-vis by call, [h, w]; see `main`."""
    import tensorflow as tf
    from tf_keras_vis.utils.scores import CategoricalScore

    homes = {"Gradcam": "gradcam", "GradcamPlusPlus": "gradcam_plus_plus", "Layercam": "layercam",
             "Scorecam": "scorecam", "Saliency": "saliency"}  # fmt: skip
    model = build_twin(tf.keras, given)
    score, pixels = CategoricalScore(int(given["c"])), given["pixels"]
    np.random.seed(0)
    found: dict[str, Array] = {}
    for case in TF_KERAS_VIS:
        name, how = _split(case.call)
        if name != "Saliency":
            how |= {"penultimate_layer": LAYER, "seek_penultimate_conv_layer": False}
        peer = getattr(importlib.import_module(f"tf_keras_vis.{homes[name]}"), name)(model)
        found[case.call] = np.asarray(peer(score, pixels, **how))[0]
    return found


def xplique(given: Mapping[str, Array]) -> dict[str, Array]:
    """Return the maps of Xplique by call, [h, w]; see `main`."""
    import tensorflow as tf
    from xplique import attributions

    model = build_twin(tf.keras, given)
    targets = tf.one_hot([int(given["c"])], 1000)
    tf.random.set_seed(0)
    found: dict[str, Array] = {}
    for case in XPLIQUE:
        name, how = _split(case.call)
        if name == "Rise":
            continue  # random
        if name.startswith("GradCAM"):
            how["conv_layer"] = LAYER
        peer = getattr(attributions, name)(model, **how)
        map_ = np.asarray(peer.explain(tf.constant(given["pixels"]), targets))[0]
        found[case.call] = np.abs(map_).max(-1) if how.get("reducer", 0) is None else map_[..., 0]
    return found


def _split(call: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a class and its keywords."""
    name, *words = call.split(", ")
    pairs = [word.partition("=")[::2] for word in words]
    return name, {key: _value(text) for key, text in pairs}


def _value(text: str) -> Any:
    if text.startswith('"') or text == "None":
        return None if text == "None" else text.strip('"')
    return float(text) if "." in text else int(text)


def main() -> None:
    """Make the maps of a package, and store them with its version.

    The file that is given has the weights by name, ``pixels`` [1, H, W, 3], and ``c``, the class.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    peer, source, target = sys.argv[1:]
    make, package = {
        "tf-keras-vis": (tf_keras_vis, "tf-keras-vis"), "Xplique": (xplique, "xplique")
    }[peer]  # fmt: skip
    with np.load(source) as given:
        maps: dict[str, Any] = make(dict(given))
    np.savez(target, version=metadata.version(package), **maps)


if __name__ == "__main__":
    main()
