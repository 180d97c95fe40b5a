"""The training transform of detectors whose file says which family wrote it.

Exporters of the YOLO family write their metadata, and train with one transform: the image keeps
its aspect ratio and is padded with grey to the input's size, and levels become shares of 255.
"""

from __future__ import annotations

import onnx_ir as ir

from ....runtime.inputs.preprocess_words import Unsized, in_words
from ....runtime.spec import Preprocess
from ...graph.emitter import dims_of
from .file_facts import FileFacts

_LETTERBOX = "unit, letterbox=114, opencv"
_SQUASH = "unit, squash, opencv"
_SQUASHING = "RTDETR"  # heads whose models are trained on images of both sides resized
NOTE = (
    "preprocessing: {words}, as the family of detectors that wrote this file trains; another one: "
    "preprocess=... (--preprocess)"
)


def family_transform(graph: ir.Graph, facts: FileFacts) -> tuple[Preprocess, str] | None:
    """Return the training transform that the file's metadata show, and a note for the user.

    Where the input's size is open it is that of the metadata.

    Returns:
        None where the metadata are not of that family, or no size is known.
    """
    image = next(
        (one for one in graph.inputs if one.shape is not None and len(one.shape) == 4), None
    )
    if not facts.is_family or image is None:
        return None
    sides = dims_of(image)[2:]
    height, width = (
        side if isinstance(side, int) else own
        for side, own in zip(sides, facts.size or (None, None), strict=True)
    )
    if height is None or width is None or dims_of(image)[1] not in (1, 3):
        return None
    squash = (facts.texts or {}).get("head", "").startswith(_SQUASHING)
    words = _SQUASH if squash else _LETTERBOX
    unsized: Unsized = in_words(words, anchor="lower")
    sized = unsized.sized(height, width, "nchw")
    return sized, NOTE.format(words=f"{words.replace(', ', ',')} at {height} x {width}")
