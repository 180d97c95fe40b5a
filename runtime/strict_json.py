"""`read_json` reads JSON as RFC 8259 defines it; Python's reader alone takes more, and fails raw.

It needs the standard library only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NoReturn, cast

DEPTH = 64  # of lists and objects inside each other: no record of ours has 10
_DIGITS = 40  # of a whole number: no count or seed has more


def read_json(text: str | bytes, replaced: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Return the value that a JSON text holds.

    Args:
        text: The text; bytes are UTF-8.
        replaced: Returns what an object becomes as soon as it is read, so that a large text does
            not become many times its size. The check of depth sees lists and objects alone.

    Raises:
        ValueError: The text is no JSON, or has NaN, an infinite number, half a surrogate pair, one
            key twice, or is nested too deeply; the message is one line.
    """

    def made(pairs: list[tuple[str, Any]]) -> Any:
        found = _distinct(pairs)
        return found if replaced is None else replaced(found)

    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode(),
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=made,
        )
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    return value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:_DIGITS]} is beyond all numbers of 64 bits")
    return number


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _check_depth(value: Any) -> None:
    """Walk over all values, level by level: whatever nests deeper would exhaust later readers."""
    level: list[Any] = [value]
    for _ in range(DEPTH):
        for text in level:
            if isinstance(text, str) and not text.isascii():
                text.encode()  # raises UnicodeEncodeError, a ValueError, at half a surrogate pair
        level = list(chain.from_iterable(map(_inside, level)))
        if not level:
            return
    raise _too_deep()


def _inside(value: Any) -> Iterable[Any]:
    """Return the values in a list, or the keys and values of an object."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return chain(found, found.values())
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _too_deep() -> ValueError:
    return ValueError(f"values lie more than {DEPTH} deep inside each other")
