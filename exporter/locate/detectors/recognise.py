"""`recognise` asks each format's module whether a graph is a detector of its format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from ....runtime.spec.detector import DetectorFormat
from ...errors import ScoreError
from .anchor_grid import anchor_grid
from .detection import Detection
from .file_facts import read_facts
from .formats.centres import centres
from .formats.dense import dense
from .formats.end_to_end import end_to_end
from .formats.joint_map import joint_map, joint_seen
from .formats.nms import nms
from .formats.per_level import levels_format
from .formats.queries import queries
from .formats.separate_tables import separate_tables
from .formats.signs import detector_signs, nearest_reason

_FORMATS = (
    ("nms", nms), ("end_to_end", end_to_end), ("dense", dense), ("dense", separate_tables),
    ("levels", levels_format), ("centres", centres), ("queries", queries),
)  # fmt: skip


def recognise(
    model: ir.Model,
    folder: Path | None = None,
    wanted: DetectorFormat | None = None,
    labels: int | None = None,
    activation: str | None = None,
) -> Detection | None:
    """Recognise a detector.

    Args:
        model: The model; nodes may be added at the end of its graph.
        folder: The folder of its external data.
        wanted: The only format to look for.
        labels: Number of class names that the user gave.
        activation: What makes probabilities of the scores, where the user says so.

    Raises:
        ScoreError: There is evidence of a detector, but of no known format.
    """
    plain = read_facts(model.metadata_props)
    facts = replace(
        plain, labels=labels, activation=activation, folder=folder, wanted=wanted,
        grid=lambda value, axis, first: anchor_grid(
            model, value, axis, first, folder, plain.size
        ),
    )  # fmt: skip
    for name, format_of in _FORMATS:
        if wanted in (None, name) and (found := format_of(model.graph, facts)) is not None:
            return found
    if wanted is not None:
        joint = joint_seen(model.graph, facts)
        reason = f": {nearest_reason(model.graph, facts)}" if joint or wanted == "dense" else ""
        raise ScoreError(
            f"this model shows no detector of format {wanted!r}{reason}; leave detector "
            "(--detector) out, or give 'off' (--detector off) to take it for a classifier"
        )
    if signs := detector_signs(model.graph, facts):
        which = (
            "say which with detector (--detector dense, end_to_end, queries, levels, centres or "
            "nms), or "
        )
        raise ScoreError(
            f"this looks like a detector ({'; '.join(signs)}), but of no format that is known: "
            f"{nearest_reason(model.graph, facts)}; "
            f"{'or ' if joint_seen(model.graph, facts) else which}take it for a classifier with "
            "detector='off' (--detector off)"
        )
    return None


def doubts(model: ir.Model, labels: int | None = None) -> list[str]:
    """What users should know of a model that is taken for none, but may be a detector.

    Args:
        model: The model.
        labels: Number of class names that the user gave.
    """
    found = joint_map(model.graph, read_facts(model.metadata_props, labels))
    return [] if found is None else [found.doubt]
