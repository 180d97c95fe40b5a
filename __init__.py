"""Grad-CAM grafted into your ONNX model: one graph that predicts and explains.

    import graftcam

    graftcam.export(model, "model.onnx", (image,), labels=names)
    explanation = graftcam.Explainer("model.onnx").explain("photo.jpg")
    explanation.show()

The names load on first use: ``import graftcam`` loads neither PyTorch nor onnx nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exporter import export
    from .runtime import Explainer, Explanation
    from .runtime.version import __version__

__all__ = ["Explainer", "Explanation", "__version__", "export"]

_HOMES = {
    "Explainer": ".runtime",
    "Explanation": ".runtime",
    "__version__": ".runtime.version",
    "export": ".exporter",
}


def __getattr__(name: str) -> object:
    """Import a public name from the package that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
