"""`OPTIONS` are what a request can ask, each with its reader and its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ...inputs.tensor_files import decode_array
from ...output.render.look import Scale, Style
from ...strict_json import read_json

Drawn: TypeAlias = Literal["heatmap", "overlay", "panel"]
DRAWN: tuple[Drawn, ...] = get_args(Drawn)


@dataclass(frozen=True)
class Option:
    """One option of a request.

    Attributes:
        read: Makes its value of text, or of a file's bytes; raises ValueError.
        schema: The JSON schema of its value.
        text: What it does, for the documents.
        several: Whether it can be repeated.
        form: What its text must be, in words; empty: of the schema's type.
    """

    read: Callable[[Any], Any]
    schema: Mapping[str, Any]
    text: str
    several: bool = False
    form: str = ""


def _words(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError("NAME=VALUE")
    try:
        return name.replace("-", "_"), read_json(value)
    except ValueError:
        return name.replace("-", "_"), value


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError("true or false")
    return known[text.lower()]


def _weights(given: str | bytes) -> NDArray[Any]:
    return numbers_of(given) if isinstance(given, str) else decode_array(given, WEIGHTS)


def numbers_of(text: str) -> NDArray[np.float64]:
    """Return numbers with commas between them; one number has no axis.

    Raises:
        ValueError: The text is something else.
    """
    numbers = [float(part) for part in text.split(",")]
    return np.array(numbers if "," in text else numbers[0])


WEIGHTS = "score_weights"
"""The option that can be a file."""

_TEXT, _WHOLE, _NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}

OPTIONS: dict[str, Option] = {
    "class": Option(str, _TEXT, "Class to explain: id or label. Default: the best-ranked.", True),
    "top": Option(int, _WHOLE, "Number of best-ranked classes, without class. Default: 1."),
    "output": Option(str, _TEXT, "Output that the class is of. Default: the first."),
    "layer": Option(str, _TEXT, "Target layer; several are fused. Default: the first.", True),
    "method": Option(str, _TEXT, "Method that makes the maps. Default: the artifact's."),
    "option": Option(
        _setting, _TEXT, "Option of the method, such as samples=50.", True, "NAME=VALUE"),
    WEIGHTS: Option(
        _weights, _TEXT, "Linear scores, instead of class: weights of the output, numbers with "
        "commas between them; in a form also a .npy file, [K, *output] or [*output].",
        form="numbers with commas between them"),
    "conf": Option(float, _NUMBER, "Detectors: smallest probability of a box. Default: 0.25."),
    "iou": Option(float, _NUMBER, "Detectors: overlap from which boxes are one. Default: 0.45."),
    "box": Option(int, _WHOLE, "Detectors: number of a box to explain. Default: all.", True),
    "limit": Option(int, _WHOLE, "Detectors: most boxes that are explained. Default: top's limit."),
    "near_miss": Option(
        _flag, {"type": "boolean"},
        "Detectors: explain the best candidate if no box reaches conf. Default: false."),
    "why": Option(
        str, _words("class", "left", "top", "right", "bottom", "edges"),
        "Detectors: what is explained of a box. Default: class.", True),
    "images": Option(str, _words(*DRAWN), "Drawings in the answer. Default: none.", True),
    "style": Option(str, _words(*get_args(Style)), "Style of overlay and panel."),
    "alpha": Option(float, _NUMBER, "Opacity of an overlay's colours, 0 to 1."),
    "colormap": Option(str, _TEXT, "Colour map of the drawings."),
    "scale": Option(str, _words(*get_args(Scale)), "Each class's own maximum, or a shared one."),
    "height": Option(int, _WHOLE, "Height of overlay and panel in pixels. Default: the image's."),
}  # fmt: skip
"""Every option by name, beside the image and the model's further inputs."""
