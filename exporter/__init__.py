"""The exporter turns a PyTorch or ONNX model into one ONNX graph that also explains.

The names load on first use, so that a command imports the steps that it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "Candidate": ".locate.candidate",
    "CaptureError": ".errors",
    "LayerError": ".errors",
    "Preprocess": "..runtime.spec",
    "Report": ".report.report",
    "Score": "..runtime.settings",
    "ScoreError": ".errors",
    "SettingsError": ".errors",
    "TorchExport": "..runtime.settings",
    "UnprovenError": ".errors",
    "UnsupportedError": ".errors",
    "VerificationError": ".errors",
    "Verify": ".verify.verdict.settings",
    "WriteError": ".errors",
    "candidates_of": ".capture.model",
    "export": ".pipeline",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
