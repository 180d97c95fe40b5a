"""`resampling_matrix` is the interpolation along one axis, as a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

WHOLE = (0.0, 1.0)


@dataclass(frozen=True)
class Resampling:
    """What a Resize does along one axis.

    Attributes:
        extent: Places of the input, or None if they are not known.
        count: Places of the output, or None if they are not known.
        scale: The scale that the node gives, or None where it gives sizes or computes it.
        settings: The node's attributes, by name.
        region: Where ``tf_crop_and_resize`` starts and ends, in parts of the input.
    """

    extent: int | None
    count: int | None
    scale: float | None
    settings: tuple[tuple[str, Any], ...]
    region: tuple[float, float] = WHOLE


@lru_cache(maxsize=32)
def resampling_matrix(axis: Resampling) -> np.ndarray:
    """The map as a matrix, float64 [count, extent].

    It is read off the ONNX reference implementation, applied to the identity.
    """
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    assert axis.extent is not None
    feeds = {"x": np.eye(axis.extent), "roi": np.array(axis.region, np.float32)}
    if axis.scale is None:
        feeds["sizes"] = np.array([axis.count])
    else:
        feeds["scales"] = np.array([axis.scale], np.float32)
    inputs = ["x", "roi", "", "sizes"] if axis.scale is None else ["x", "roi", "scales"]
    node = helper.make_node("Resize", inputs, ["y"], axes=[1], **dict(axis.settings))
    found = ReferenceEvaluator(node, opsets={"": 18}).run(None, feeds)
    assert isinstance(found, list)
    return np.ascontiguousarray(np.asarray(found[0], np.float64).T)
