"""These functions walk through nested arguments and results: tuples, lists, dicts, records of them.

Models take and return tensors in containers of many kinds, also of their libraries' own (the
outputs of transformers are both dicts and dataclasses). The parts are found by one set of rules.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias, cast

Path: TypeAlias = tuple[Any, ...]
"""The keys and indices that lead to a part, from outside to inside."""


def parts_of(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield what is in ``value``, and in the containers inside, with the path to each part.

    A value that is no container is its own only part, with an empty path.
    """
    inside = _entries(value)
    if inside is None:
        yield path, value
        return
    for key, part in inside:
        yield from parts_of(part, (*path, key))


def with_part(value: Any, path: Path, part: Any) -> Any:
    """Return ``value`` with another part at ``path``; the containers on the way are copied."""
    if not path:
        return part
    key, *rest = path
    old = dict(_entries(value) or ())[key]
    new = with_part(old, tuple(rest), part)
    if isinstance(value, (list, tuple)):
        if hasattr(value, "_fields"):
            return cast(Any, value)._replace(**{key: new})
        items = [new if index == key else item for index, item in enumerate(cast(Any, value))]
        return type(cast(Any, value))(items)
    made = copy.copy(value)
    if isinstance(made, Mapping):
        cast(Any, made)[key] = new
    else:
        object.__setattr__(made, key, new)
    return made


def _entries(value: Any) -> Sequence[tuple[Any, Any]] | None:
    """The direct parts of a container by key; None for anything else."""
    if isinstance(value, Mapping):
        return list(cast("Mapping[Any, Any]", value).items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(cast(Any, value)._fields, cast(Any, value), strict=True))
    if isinstance(value, (list, tuple)):
        return list(enumerate(cast("Sequence[Any]", value)))
    if is_dataclass(value) and not isinstance(value, type):
        return [(one.name, getattr(value, one.name)) for one in fields(value)]
    return None
