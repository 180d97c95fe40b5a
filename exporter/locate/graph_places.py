"""This module runs an ONNX graph to show where the places of its layers stand; see `places`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.infer_shapes import OPEN_SIZES, trial_feeds
from ..graph.ort_session import session_of
from .arrangement import Arrangement
from .exchange import measure
from .places import Array, Dependence, Finding


def find_places(
    model: ir.Model,
    options: Mapping[ir.Value, Sequence[Arrangement]],
    examples: Mapping[str, Array],
    folder: Path | None = None,
) -> dict[ir.Value, Finding]:
    """Show the layouts of values, out of those that they may have.

    Args:
        model: The model.
        options: Layouts by value.
        examples: Inputs to run on, by name; noise where there are none.
        folder: The folder of the model's external data.

    Returns:
        Findings; values that could not be computed, or that nothing changes, have none.
    """
    session = _session(model, list(options), folder)
    if session is None:
        return {}
    for side in OPEN_SIZES:
        feeds = {**trial_feeds(model.graph, side), **examples}
        image = _image(feeds)
        if image is None:
            return {}

        def run(changed: Array, feeds: Any = feeds, image: str = image) -> dict[str, Array]:
            found = session.run(None, {**feeds, image: changed})
            return {str(number): values for number, values in enumerate(found)}

        try:
            measured = measure(run, feeds[image], np.random.default_rng(0))
        except Exception:  # ONNX Runtime's exceptions share no base of their own
            continue
        return _findings(options, measured)
    return {}


def _findings(
    options: Mapping[ir.Value, Sequence[Arrangement]], measured: Mapping[str, Dependence]
) -> dict[ir.Value, Finding]:
    found = {
        value: measured[str(number)].best(layouts)
        for number, (value, layouts) in enumerate(options.items())
    }
    return {value: one for value, one in found.items() if one is not None}


def _session(model: ir.Model, values: Sequence[ir.Value], folder: Path | None) -> Any:
    clone = model.clone()
    known = {value.name: value for node in clone.graph for value in node.outputs}
    clone.graph.outputs.clear()
    clone.graph.outputs.extend(known[value.name] for value in values)
    try:
        return session_of(clone, folder)
    except Exception:
        return None


def _image(feeds: Mapping[str, Array]) -> str | None:
    """The input whose parts are exchanged: the largest float one, else the largest."""
    many = [name for name, array in feeds.items() if array.ndim > 1 and array.size > 1]

    def rank(name: str) -> tuple[bool, int]:
        return np.issubdtype(feeds[name].dtype, np.floating), feeds[name].size

    return max(many, key=rank, default=None)
