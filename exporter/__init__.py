"""The exporter turns a PyTorch or ONNX model into one ONNX graph that also explains."""

from ..runtime.settings import Score, TorchExport
from ..runtime.spec import Preprocess
from .capture.model import candidates_of
from .errors import (
    CaptureError,
    LayerError,
    ScoreError,
    SettingsError,
    UnprovenError,
    UnsupportedError,
    VerificationError,
    WriteError,
)
from .locate.candidate import Candidate
from .pipeline import export
from .report.report import Report
from .verify.verdict.settings import Verify

__all__ = [
    "Candidate",
    "CaptureError",
    "LayerError",
    "Preprocess",
    "Report",
    "Score",
    "ScoreError",
    "SettingsError",
    "TorchExport",
    "UnprovenError",
    "UnsupportedError",
    "VerificationError",
    "Verify",
    "WriteError",
    "candidates_of",
    "export",
]
