"""The runtime explains images with an artifact: numpy, OpenCV and ONNX Runtime, never PyTorch.

    from graftcam.runtime import Explainer

    explanation = Explainer("model.cam.onnx").explain("photo.jpg")
    explanation.save("photo-explained.png")
    print(explanation[0].label, explanation[0].score)

The names load on first use, so that ``graftcam.runtime.spec`` needs the standard library only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .boxes.detections import Detection, Detections
    from .errors import GraftcamError
    from .explain.request import Request
    from .explain.stream import Failure
    from .explainer import Explainer
    from .inputs.bank import Bank, make_bank
    from .inputs.text_encoder import TextEncoder
    from .inputs.video import read_frames
    from .methods.table import METHODS
    from .output.animation import animate, animation_file
    from .output.box_explanation import BoxExplanation
    from .output.class_map import ClassMap
    from .output.concepts import Concepts
    from .output.explanation import Explanation
    from .output.figures import figure, save_figure
    from .output.video import video_file
    from .spec import Spec
    from .tools.evaluate.evaluate import Evaluation, evaluate

__all__ = [
    "METHODS",
    "Bank",
    "BoxExplanation",
    "ClassMap",
    "Concepts",
    "Detection",
    "Detections",
    "Evaluation",
    "Explainer",
    "Explanation",
    "Failure",
    "GraftcamError",
    "Request",
    "Spec",
    "TextEncoder",
    "animate",
    "animation_file",
    "evaluate",
    "figure",
    "make_bank",
    "read_frames",
    "save_figure",
    "video_file",
]

_HOMES = {
    "Bank": ".inputs.bank",
    "BoxExplanation": ".output.box_explanation",
    "ClassMap": ".output.class_map",
    "Concepts": ".output.concepts",
    "Detection": ".boxes.detections",
    "Detections": ".boxes.detections",
    "Evaluation": ".tools.evaluate.evaluate",
    "Explainer": ".explainer",
    "Explanation": ".output.explanation",
    "Failure": ".explain.stream",
    "GraftcamError": ".errors",
    "METHODS": ".methods.table",
    "Request": ".explain.request",
    "Spec": ".spec",
    "TextEncoder": ".inputs.text_encoder",
    "animate": ".output.animation",
    "animation_file": ".output.animation",
    "evaluate": ".tools.evaluate.evaluate",
    "figure": ".output.figures",
    "make_bank": ".inputs.bank",
    "read_frames": ".inputs.video",
    "save_figure": ".output.figures",
    "video_file": ".output.video",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
