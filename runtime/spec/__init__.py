"""The artifact's metadata: names of inputs and outputs, their meaning, the version.

The exporter writes it to ``metadata_props["graftcam"]`` of the ONNX file. This folder needs the
standard library only.

In: the JSON of an artifact. Out: a checked `Spec`, whose parts have a file each.
Imports: `errors`, `bounds`, `strict_json`, `checks`, `records`, `settings`.
"""

from __future__ import annotations

from ..settings import ScoredOutput, ScoreRecord
from .layers import FusedMaps, Head, Layer, Layout
from .metadata import (
    ATTENTION_VERSION,
    METADATA_KEY,
    NEWEST_VERSION,
    OUTPUTS_VERSION,
    SPEC_VERSION,
    Spec,
)
from .preprocessing import Interpolation, Preprocess, ResizeMode
from .verdict import Verdict, Verification

__all__ = [
    "ATTENTION_VERSION",
    "METADATA_KEY",
    "NEWEST_VERSION",
    "OUTPUTS_VERSION",
    "SPEC_VERSION",
    "FusedMaps",
    "Head",
    "Interpolation",
    "Layer",
    "Layout",
    "Preprocess",
    "ResizeMode",
    "ScoreRecord",
    "ScoredOutput",
    "Spec",
    "Verdict",
    "Verification",
]
