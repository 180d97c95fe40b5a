"""`Asked` is what a request asks; `read_options` reads it from a form or a query."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ...explain.request import Request
from ...inputs.selection import check_name
from ...output.render import Look, LookOptions
from .options import DRAWN, OPTIONS, WEIGHTS, Drawn
from .refusals import RefusedError
from .settings import Limits

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
