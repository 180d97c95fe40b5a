"""PyTorch or ONNX in, one explaining ONNX graph out."""

from .errors import (
    CaptureError,
    LayerError,
    ScoreError,
    UnsupportedError,
    VerificationError,
    WriteError,
)
from .locate.candidate import Candidate
from .pipeline import candidates_of, export
from .report.report import Report

__all__ = [
    "Candidate",
    "CaptureError",
    "LayerError",
    "Report",
    "ScoreError",
    "UnsupportedError",
    "VerificationError",
    "WriteError",
    "candidates_of",
    "export",
]
