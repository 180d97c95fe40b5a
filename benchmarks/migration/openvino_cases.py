"""Calls of OpenVINO XAI, and a function that makes them.

This module runs as a script in an environment of its own: ``PACKAGE given.npz taken.npz``. It
imports nothing of graftcam.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np

from .case import Array, Case

OPENVINO_XAI = (
    Case("Method.RECIPROCAM", "reciprocam", convert="stretched", why="it has 256 levels"),
    Case("Method.RISE", "rise", why="random masks"),
)


def openvino_xai(given: Mapping[str, Array]) -> dict[str, Array]:
    """Return the maps of OpenVINO XAI by call, [h, w]; see `main`."""
    import openvino
    import openvino_xai as xai

    core = openvino.Core()
    model = xai.insert_xai(
        core.read_model(str(given["plain"])),
        xai.Task.CLASSIFICATION,
        explain_method=xai.Method.RECIPROCAM,
        target_layer=str(given["node"]),
    )
    # Without this, OpenVINO computes in bfloat16 on processors that have it.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pixels = np.ascontiguousarray(given["pixels"].transpose(0, 3, 1, 2))
    maps = compiled([pixels])["saliency_map"]
    return {OPENVINO_XAI[0].call: np.asarray(maps)[0, int(given["c"])] / 255}


def main() -> None:
    """Make the maps, and store them with the package's version.

    The file that is given has ``pixels`` [1, H, W, 3], ``c``, the class, ``plain``, the ONNX file,
    and ``node``, the name of the node that ends the target layer.
    """
    _, source, target = sys.argv[1:]
    with np.load(source) as given:
        maps: dict[str, Any] = openvino_xai(dict(given))
    np.savez(target, version=metadata.version("openvino-xai"), **maps)


if __name__ == "__main__":
    main()
