"""This module finds the scale under which the gradients of a float16 model fit into its range.

Cotangents in float16 are larger than the gradients by a power of two, so that small ones keep their
digits. How large the gradients are, a run shows: those of a score that adds up many positions, or
of large weights, may be beyond what the usual scale leaves room for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ...runtime.spec import Spec
from ..graph.infer_shapes import OPEN_SIZES, trial_feeds
from ..graph.ort_session import session_of
from ..graph.precision import FLOAT16_SCALE

_ROOM = 2.0**13  # an eighth of float16's range; other inputs, and values on the way, may be larger
_LEAST = 2.0**-30  # of a scale: gradients that are infinite with it are infinite


class ScaleTooLargeError(Exception):
    """The gradients exceed float16's range.

    Attributes:
        fitting: A scale with which they would not, or may not.
    """

    def __init__(self, fitting: float) -> None:
        super().__init__(fitting)
        self.fitting = fitting


def check_scale(model: ir.Model, spec: Spec, scale: float, folder: Path | None) -> None:
    """Run a finished graph once, and see whether its float16 cotangents have room enough.

    Args:
        model: The graph.
        spec: Its metadata.
        scale: How much larger than the gradients cotangents are.
        folder: The folder of its external data.

    Raises:
        ScaleTooLargeError: They have not.
    """
    names = [one.gradients for one in spec.layers] + [*spec.of_input.values()]
    results = _trial(model, folder)
    # Where the model's own outputs are not finite, gradients say nothing.
    if not all(np.isfinite(results[name]).all() for name in {*results} - {*spec.own_outputs}):
        return
    found = [np.abs(results[name]) for name in names if name in results]
    largest = max((float(one.max(initial=0.0)) for one in found), default=0.0)
    if not math.isfinite(largest):
        if scale > _LEAST:
            raise ScaleTooLargeError(scale / FLOAT16_SCALE)
    elif largest * scale > _ROOM:
        raise ScaleTooLargeError(2.0 ** math.floor(math.log2(_ROOM / largest)))


def _trial(model: ir.Model, folder: Path | None) -> Mapping[str, Any]:
    """The float results for noise; none where the graph runs on no size that is tried."""
    try:
        session = session_of(model, folder)
    except Exception:  # ONNX Runtime's exceptions share no base of their own
        return {}
    for side in OPEN_SIZES:
        try:
            values = session.run(None, trial_feeds(model.graph, side, {"K": 1}))
        except Exception:
            continue
        names = [one.name for one in session.get_outputs()]
        return {n: v for n, v in zip(names, values, strict=True) if v.dtype.kind == "f"}
    return {}
