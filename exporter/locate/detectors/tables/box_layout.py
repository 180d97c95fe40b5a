"""This module finds out what the four numbers of a box mean: from the graph, else from a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .....runtime.spec.detector import BoxLayout, BoxUnits
from ....errors import ScoreError
from ....graph.infer_shapes import OPEN_SIZES, trial_feeds
from ....graph.ort_session import session_of
from .table_pairs import sigmoids_behind

_UNIT = 4.0  # shares of the image stay below this, also for boxes that reach beyond it
_ORDERED = 0.999  # the part of boxes whose corners are in order


def layout_of(
    graph: ir.Graph, boxes: ir.Value, folder: Path | None
) -> tuple[BoxLayout, BoxUnits, str]:
    """The layout and the unit of boxes [N, boxes, 4], and what shows them.

    Four sigmoids are shares of the image, and cannot be corners: nothing would order them.

    Raises:
        ScoreError: The graph cannot be run to find out.
    """
    if sigmoids_behind(boxes):
        return "cxcywh", "unit", "sigmoids of centres and sizes"
    values = _on_noise(graph, boxes, folder)
    if values is None:
        raise ScoreError(
            f"boxes {boxes.name!r} end in no Sigmoid, and the graph cannot be run to see what "
            "their numbers mean; give detector='off' (--detector off) to explain it otherwise"
        )
    rows = np.asarray(values, np.float32).reshape(-1, 4)
    ordered = np.mean((rows[:, 2] >= rows[:, 0]) & (rows[:, 3] >= rows[:, 1]))
    layout: BoxLayout = "xyxy" if ordered >= _ORDERED else "cxcywh"
    units: BoxUnits = "unit" if np.median(np.abs(rows).max(axis=1)) < _UNIT else "pixels"
    what = "corners" if layout == "xyxy" else "centres and sizes"
    scale = "shares of the image" if units == "unit" else "pixels"
    return layout, units, f"on noise boxes are {what} in {scale}"


def _on_noise(
    graph: ir.Graph, value: ir.Value, folder: Path | None
) -> npt.NDArray[np.generic] | None:
    """A value on noise; None where the graph cannot be run."""
    clone = graph.clone()
    wanted = next(one for one in clone.outputs if one.name == value.name)
    clone.outputs[:] = [wanted]
    try:
        session = session_of(ir.Model(clone, ir_version=10), folder)
    except Exception:  # ONNX Runtime's exceptions share no base of their own
        return None
    for side in OPEN_SIZES:
        try:
            return session.run(None, trial_feeds(graph, side))[0]
        except Exception:
            continue
    return None
