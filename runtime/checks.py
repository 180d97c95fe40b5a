"""`check_value` compares a value with an annotated type, `check_keywords` names with known ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import GraftcamError, InputError

_NOUNS: dict[Any, str] = {int: "whole number", float: "number", str: "text"}
_WORDS: dict[Any, str] = {
    bool: "True or False", NoneType: "None", Callable: "a function",
    Mapping: 'a mapping, such as {"samples": 50}',
}  # fmt: skip


@functools.cache
def types_of(annotated: Any) -> dict[str, Any]:
    """Return the types of a function's or a class's names; reading them costs half a ms."""
    return get_type_hints(annotated)


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
    if not _has(value, kind):
        raise error(f"{name}={short(value)}: give {_described(kind)}")
    if least is not None and isinstance(value, Real) and value < least:
        raise error(f"{name}={value} is out of range; give {_described(kind)} from {least} on")


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
        near = get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean '{near[0]}'? " if near else ""
        remedy = (remedies or {}).get(name, f"{hint}{caller} takes {', '.join(known)}")
        raise TypeError(f"unknown keyword '{name}'; {remedy}")


def short(value: object) -> str:
    """Return a value as text of at most one short line."""
    text = repr(value)
    return text if len(text) < 40 and "\n" not in text else "..."


def _has(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        return any(_has(value, one) for one in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is Sequence:
        listed = isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping))
        return listed and all(_has(one, arguments[0]) for one in value)
    if origin in (int, float) and isinstance(value, bool):
        return False  # which Python counts as a number
    if origin is int:
        return isinstance(value, Integral)
    if origin is float:
        return isinstance(value, Real) and math.isfinite(value)
    return origin is Any or isinstance(value, origin)


def _described(kind: Any) -> str:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        *others, last = [_described(one) for one in arguments]
        return f"{', '.join(others)} or {last}"
    if origin is Literal:
        return f"one of {', '.join(arguments)}"
    if origin is Sequence:
        return f"a list of {_NOUNS.get(arguments[0], 'number')}s"
    return _WORDS.get(origin) or f"a {_NOUNS.get(origin, origin.__name__)}"
