"""`mutated_json` changes one value, key or place of a JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31, -(2**31), 2**63, 10**400, 0.0, -0.5, 1e-300, 1e308,
    float("nan"), float("inf"), "", "a", "x" * 5000, "\0", "\ud800", "\x1b[2J", "a\nError: b",
    "../x", "/x", "\u202eabc", [], {}, [[]], [None], [0, 0, 0], [1e999], {"": 0}, ["a", 1],
)  # fmt: skip
_DEEP = 2000  # brackets: more than Python's parser recurses


def mutated_json(data: bytes, random: Random) -> bytes | None:
    """Return a JSON text changed in one place; None if it is none."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    holder: list[Any] = [tree]
    places = list(_places(holder))
    parent, key = random.choice(places)
    kind = random.randrange(8)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[random.choice(("", "x", key + "s", key.upper(), "\ud800"))] = parent.pop(key)
    elif kind == 2:
        other, at = random.choice(places)
        parent[key] = other[at] if at in other or isinstance(other, list) else None
    elif kind == 3 and isinstance(parent[key], list):
        parent[key] = parent[key] * random.choice((0, 2, 300))
    elif kind == 4 and isinstance(parent[key], (int, float)) and abs(parent[key]) < 1e300:
        parent[key] = parent[key] * random.choice((-1, 2, 1.5, 10**9)) + random.choice((0, 1, -1))
    elif kind == 5:
        parent[key] = "@deep"
    else:
        parent[key] = random.choice(_VALUES)
    if not holder:
        return b""
    try:
        text = json.dumps(holder[0], ensure_ascii=random.random() < 0.5)
    except (ValueError, RecursionError):  # a place that contains itself
        return None
    if kind == 5:
        opened, closed = random.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace('"@deep"', opened * _DEEP + "1" + closed * _DEEP)
    elif random.random() < 0.05 and text.startswith("{") and len(text) > 2:
        text = text[:-1] + "," + text[1:]  # every key twice
    return text.encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a tree: what contains it, and its key or index there.

    It does not recurse: json of newer Pythons reads values that nest deeper than calls.
    """
    waiting = [(tree, _keys(tree))]
    while waiting:
        inside, keys = waiting[-1]
        for key in keys:
            yield inside, key
            if isinstance(inside[key], (dict, list)):
                waiting.append((inside[key], _keys(inside[key])))
                break
        else:
            waiting.pop()


def _keys(tree: Any) -> Iterator[Any]:
    return iter(list(tree) if isinstance(tree, dict) else range(len(tree)))
