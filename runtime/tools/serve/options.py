"""`OPTIONS` are what a request can ask; `read_options` reads them from a form or a query."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from ...explain.request import Request
from ...inputs.selection import check_name
from ...inputs.tensor_files import decode_array
from ...output.render import Look, LookOptions
from ...output.render.look import Scale, Style
from ...strict_json import read_json
from .refusals import RefusedError
from .settings import Limits

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

_LOOKS = tuple(LookOptions.__annotations__)
_TALLEST = 4096  # pixels of a drawing whose height is asked for
# What takes memory or hours in a method; the time is limited, too.
_MOST = {"masks": 10_000, "samples": 1000, "steps": 1000, "grid": 64, "channels": 4096}


@dataclass(frozen=True)
class Asked:
    """What a request asks.

    Attributes:
        request: What to explain.
        images: Which drawings the answer has.
        look: How they are drawn.
        height: Their height in pixels; None: the image's.
    """

    request: Request
    images: tuple[Drawn, ...] = ()
    look: LookOptions = field(default_factory=LookOptions)
    height: int | None = None

    @property
    def key(self) -> Hashable:
        """Equal for equal requests; None: it has weights, which are large and seldom the same."""
        return None if WEIGHTS in self.request else _frozen(self.request)

    @property
    def kind(self) -> Hashable:
        """Equal for requests that differ in their classes, or weights, only."""
        free = ("classes", "top", WEIGHTS)
        return _frozen({name: value for name, value in self.request.items() if name not in free})


def read_options(
    given: Iterable[tuple[str, str | bytes]],
    limits: Limits,
    *,
    detector: bool,
) -> Asked:
    """Read what a request asks.

    Args:
        given: Names and values, of the form and of the query; bytes are a file's.
        limits: What the service accepts.
        detector: Whether the model is a detector.

    Raises:
        RefusedError: A name is unknown, a value is wrong or too large, or a name is given twice.
        InputError: A file is no array of numbers.
        RenderError: A part of the look is unknown.
    """
    values = _values(given)
    request = _request(values, limits, detector=detector)
    look = cast("LookOptions", {name: values[name] for name in _LOOKS if name in values})
    Look(**look)
    height = values.get("height")
    if height is not None:
        _check_range("height", height, 16, _TALLEST)
    images = tuple(dict.fromkeys(values.get("images", ())))
    for name in images:
        check_name("drawing", name, DRAWN)
    return Asked(request, cast("tuple[Drawn, ...]", images), look, height)


def _values(given: Iterable[tuple[str, str | bytes]]) -> dict[str, Any]:
    """Return the values by name: of options that can be repeated a list."""
    values: dict[str, Any] = {}
    for name, text in given:
        check_name("option", name, OPTIONS)
        option = OPTIONS[name]
        try:
            value = option.read(text)
        except ValueError:
            form = option.form or f"of type {option.schema['type']}"
            raise RefusedError(400, f"{name}={text[:80]!r} is not {form}") from None
        if option.several:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise RefusedError(400, f"{name} is given twice; give it once")
        else:
            values[name] = value
    return values


def _request(values: Mapping[str, Any], limits: Limits, *, detector: bool) -> Request:
    """Return the part of the options that is about the model."""
    names = {"class": "classes", "box": "boxes"}
    known = ("class", "top", "output", "method", WEIGHTS, "conf", "iou", "box", "limit",
             "near_miss", "why")  # fmt: skip
    found: Any = {names.get(name, name): values[name] for name in known if name in values}
    if "option" in values:
        found["options"] = _settings(values["option"])
    if "layer" in values:
        layers = values["layer"]
        found["layer"] = layers if len(layers) > 1 else layers[0]
    if "top" in values and "class" in values:
        raise RefusedError(400, "top explains the best-ranked classes, class those that it names; "
                           "leave one out")  # fmt: skip
    most = limits.top
    _check_range("top", values.get("top", 1), 1, most)
    for name in ("class", "box", "layer", "option"):
        _check_count(name, values.get(name, ()), most)
    if detector:
        _check_range("limit", found.setdefault("limit", most), 0, most)
        _check_count("why", values.get("why", ()), len(OPTIONS["why"].schema["enum"]))
    return found


def _settings(given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the options of a method."""
    found = dict(given)
    for name, most in _MOST.items():
        value = found.get(name)
        if isinstance(value, (int, float)) and value > most:
            raise RefusedError(400, f"option {name}={value:g} is out of range; give at most {most}")
    return found


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise RefusedError(400, f"{name}={value} is out of range; give {least} to {most}")


def _check_count(name: str, values: Any, most: int) -> None:
    if len(values) > most:
        raise RefusedError(400, f"{name} is given {len(values)} times; give at most {most}")


def _frozen(value: Any) -> Hashable:
    """Return JSON's types as something hashable that is equal for equal values of equal types."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value).items()
        return tuple(sorted((key, _frozen(item)) for key, item in entries))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in cast("list[Any]", value))
    return type(value).__name__, value
