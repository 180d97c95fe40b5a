"""`check_value` compares a value with an annotated type, `check_keywords` names with known ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from .bounds import Bound, Range
from .errors import GraftcamError, InputError

_NOUNS: dict[Any, str] = {int: "whole number", float: "number", str: "text"}
_WORDS: dict[Any, str] = {
    bool: "True or False", NoneType: "None", Callable: "a function", dict: "an object",
    Mapping: 'a mapping, such as {"samples": 50}',
}  # fmt: skip


@functools.cache
def types_of(annotated: Any) -> dict[str, Any]:
    """Return the types of a function's or a class's names; reading them costs half a ms."""
    return get_type_hints(annotated, include_extras=True)


def check_value(
    name: str,
    value: object,
    kind: Any,
    error: type[GraftcamError] = InputError,
    least: int | None = None,
) -> None:
    """Raise ``error`` unless ``value`` has the annotated type ``kind``.

    Args:
        name: The value's name, for the message.
        value: The value; numbers must be finite, and True is no number.
        kind: The annotation.
        error: The exception to raise.
        least: The smallest number that is allowed.
    """
    if not matches(value, kind):
        raise error(f"{name}={short(value)}: give {described(kind)}")
    if least is not None and not (bound := Range(least)).allows(value):
        raise error(f"{name}={value} is out of range; give {bound.narrow(described(kind))}")


def check_keywords(
    caller: str,
    given: Iterable[str],
    known: Collection[str],
    remedies: Mapping[str, str] | None = None,
) -> None:
    """Raise TypeError if ``caller`` does not know one of the keywords.

    Args:
        caller: What takes the keywords.
        given: Their names.
        known: The names that there are.
        remedies: What to say about some of the other names.
    """
    for name in given:
        if name in known:
            continue
        from difflib import get_close_matches  # seldom needed, and slow to import

        near = get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean '{near[0]}'? " if near else ""
        remedy = (remedies or {}).get(name, f"{hint}{caller} takes {', '.join(known)}")
        raise TypeError(f"unknown keyword '{name}'; {remedy}")


def short(value: object) -> str:
    """Return a value as text of at most one short line."""
    text = repr(value)
    return text if len(text) < 40 and "\n" not in text else "..."


def parts(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return what an annotation is made with (list, Union, Annotated, int...), and of what."""
    return get_origin(kind) or kind, get_args(kind)


def is_union(origin: Any) -> bool:
    """Whether an annotation allows several types."""
    return origin in (Union, UnionType)


def matches(value: Any, kind: Any) -> bool:
    """Whether a value has the annotated type, and lies within the annotation's bounds.

    Any collection but a text or a mapping is a list. Numbers must be finite, and True is none.
    """
    origin, arguments = parts(kind)
    if origin is Annotated:
        bounds = cast("Sequence[Bound]", arguments[1:])
        return matches(value, arguments[0]) and all(one.allows(value) for one in bounds)
    if is_union(origin):
        return any(matches(value, one) for one in arguments)
    if origin is Literal:
        return any(matches(value, type(one)) and value == one for one in arguments)
    if origin is NotRequired:
        return matches(value, arguments[0])
    if origin in (Sequence, list):
        listed = isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping))
        return listed and all(matches(one, arguments[0]) for one in value)
    if origin is dict and arguments:
        return isinstance(value, Mapping) and all(
            matches(key, arguments[0]) and matches(one, arguments[1])
            for key, one in cast("Mapping[Any, Any]", value).items()
        )
    if is_typeddict(origin):
        return _has_fields(value, types_of(origin))
    if origin in (int, float) and isinstance(value, bool):
        return False  # which Python counts as a number
    if origin is int:
        return isinstance(value, Integral)
    if origin is float:
        return isinstance(value, Real) and _is_finite(value)
    return origin is Any or isinstance(value, origin)


def _has_fields(value: Any, kinds: Mapping[str, Any]) -> bool:
    needed = {name for name, kind in kinds.items() if get_origin(kind) is not NotRequired}
    return (
        isinstance(value, Mapping)
        and needed <= set(cast("Mapping[str, Any]", value)) <= set(kinds)
        and all(matches(one, kinds[name]) for name, one in value.items())
    )


def _is_finite(number: Real) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


def described(kind: Any) -> str:
    """Return an annotation in words, such as ``a list of whole numbers from 1 on or None``."""
    origin, arguments = parts(kind)
    if origin is Annotated:
        return _narrowed(described(arguments[0]), arguments[1:])
    if is_union(origin):
        *others, last = [described(one) for one in arguments]
        return f"{', '.join(others)} or {last}"
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Sequence, list):
        return f"a list of {_plural(arguments[0])}"
    return _WORDS.get(origin) or f"a {_NOUNS.get(origin, origin.__name__)}"


def _plural(kind: Any) -> str:
    origin, arguments = parts(kind)
    if origin is Annotated:
        return _narrowed(_plural(arguments[0]), arguments[1:])
    if is_union(origin):
        return " or ".join("None" if one is NoneType else _plural(one) for one in arguments)
    return f"{_NOUNS.get(origin, 'object')}s"


def _narrowed(words: str, bounds: Sequence[Bound]) -> str:
    for bound in bounds:
        words = bound.narrow(words)
    return words
