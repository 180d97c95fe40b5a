"""All subjects of the field test, in the order of the page."""

from __future__ import annotations

from .modules import MODULES
from .pictures import PICTURES, SIGNAL_PICTURES
from .sounds import SOUNDS, TOKENS
from .subject import Subject

GROUPS: dict[str, tuple[Subject, ...]] = {
    "Pictures, ONNX files": PICTURES,
    "Sounds and other signals, ONNX files": (*SOUNDS, *SIGNAL_PICTURES),
    "Sequences of bytes or letters, ONNX files": TOKENS,
    "PyTorch and Keras modules with their weights": MODULES,
}
SUBJECTS = tuple(subject for group in GROUPS.values() for subject in group)
