"""`missing` says what an artifact does not store, and will be asked for when it explains."""

from __future__ import annotations

from ...runtime.settings import WEIGHTED
from ...runtime.spec import Spec

_OF_IMAGES = 2  # axes of a map


def missing(spec: Spec) -> list[str]:
    """Return a note for each part that users of the artifact will miss, with its option."""
    notes: list[str] = []
    if spec.preprocess is None and any(len(layer.grid) == _OF_IMAGES for layer in spec.layers):
        notes.append(
            "no preprocessing is stored, so that photographs are explained only with `graftcam "
            "explain --preprocess ...`; store it with --preprocess imagenet, unit, raw or a file, "
            "as the model was trained"
        )
    of_classes = [one for one in spec.by_output() if one.score.kind not in (*WEIGHTED, "channel")]
    if of_classes and all(one.labels is None for one in of_classes):
        notes.append("no class names are stored, so that classes are numbers; add --labels FILE")
    return notes
