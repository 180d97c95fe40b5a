"""These functions check single values: a name, names, one of several choices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from difflib import get_close_matches
from typing import Any

from ..errors import SettingsError, in_line

_DISTINCT = ("input_names", "output_names")  # of one graph
_NAMES = {"layers": "'layer4'", "output": "'logits'"}


def checked_text(argument: str, value: object, error: type[Exception]) -> str | None:
    """Return a text, or None; anything else is refused."""
    if value is None or isinstance(value, str):
        return value
    raise error(f"{argument}={in_line(value)} is no name; give a string")


def checked_names(argument: str, value: object, error: type[Exception]) -> list[str] | None:
    """A sequence of texts as a list; a single text and an unordered collection are refused."""
    if value is None:
        return None
    names = None if isinstance(value, str | Mapping | Set) else items_of(value)
    if names is None or not all(isinstance(name, str) for name in names):
        such = _NAMES.get(argument, "'image'")
        raise error(
            f"{argument} takes a list of names, not {in_line(value)}; give strings, such as {such}"
        )
    if argument in _DISTINCT and len({*names}) < len(names):
        raise error(f"{argument}={in_line(names)} has a name twice; give each its own")
    return names


def items_of(value: Any) -> list[Any] | None:
    """Return what a collection holds, or None if it is none."""
    return list(value) if isinstance(value, Collection) else None


def is_int(value: object) -> bool:
    """Whether a value is an integer, which True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def one_of(
    argument: str, value: Any, choices: Collection[str], error: type[Exception] = SettingsError
) -> Any:
    """Return ``value`` if it is one of ``choices``, else raise with the nearest one."""
    if isinstance(value, str) and value in choices:
        return value
    near = get_close_matches(value, choices, n=3) if isinstance(value, str) else []
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise error(f"unknown {argument} {in_line(value)}; {hint}there is {', '.join(choices)}")
