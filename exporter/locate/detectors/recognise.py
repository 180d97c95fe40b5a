"""`find_detector` recognises a detector, and gives its score and its target layers."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ....runtime.detector import DetectorFormat
from .centres import centres
from .dense import dense
from .detection import Detection
from .file_facts import read_facts
from .levels_format import levels_format

_FORMATS = {"dense": dense, "levels": levels_format, "centres": centres}


def recognise(
    graph: ir.Graph, metadata: Mapping[str, str], wanted: DetectorFormat | None = None
) -> Detection | None:
    """Recognise a detector.

    Args:
        graph: The model.
        metadata: Of its file.
        wanted: The only format to look for.

    Raises:
        ScoreError: There is evidence of a detector, but of no known format.
    """
    facts = read_facts(metadata)
    for name, format_of in _FORMATS.items():
        if wanted in (None, name) and (found := format_of(graph, facts)) is not None:
            return found
    return None
