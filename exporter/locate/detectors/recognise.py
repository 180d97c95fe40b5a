"""`find_detector` recognises a detector, and gives its score and its target layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from ....runtime.detector import DetectorFormat
from .dense import dense
from .detection import Detection
from .file_facts import read_facts
from .queries import queries
from .separate_tables import separate_tables

_FORMATS = (("dense", dense), ("dense", separate_tables), ("queries", queries))


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
    facts = replace(
        read_facts(model.metadata_props), labels=labels, activation=activation, folder=folder,
        wanted=wanted,
    )  # fmt: skip
    for name, format_of in _FORMATS:
        if wanted in (None, name) and (found := format_of(model.graph, facts)) is not None:
            return found
    return None
