"""These functions convert records to JSON and parse them strictly.

They refuse a missing or an unknown field, and a value of another type than the annotation's.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .errors import SpecError


def written(value: Any) -> Any:
    """Convert a record to JSON types; optional fields that are None are left out."""
    if is_dataclass(value):
        entries = [(e, written(getattr(value, e.name))) for e in fields(value)]
        return {e.name: made for e, made in entries if made is not None or e.default is not None}
    if isinstance(value, (list, tuple)):
        return [written(item) for item in cast("Sequence[Any]", value)]
    return value


Record = TypeVar("Record")


def parse_record(kind: type[Record], data: Any, where: str) -> Record:
    """Build the dataclass ``kind`` from parsed JSON, checking every field's presence and type."""
    if not isinstance(data, dict):
        raise SpecError(f"{where}: expected an object, found {type(data).__name__}; export again")
    hints = get_type_hints(kind)
    entries = fields(cast(Any, kind))
    names = [entry.name for entry in entries if entry.name in data or entry.default is not None]
    unknown, missing = sorted(set(data) - set(names)), sorted(set(names) - set(data))
    if unknown or missing:
        raise SpecError(
            f"{where}: unknown fields {unknown}, missing fields {missing}; export again"
        )
    return kind(**{name: _check(hints[name], data[name], f"{where}.{name}") for name in names})


def _base(kind: Any) -> Any:
    """Return ``list`` for annotations of lists and sequences, else what the annotation is of."""
    origin = get_origin(kind)
    return list if origin in (list, Sequence) else origin


def _check(kind: Any, value: Any, where: str) -> Any:
    """Return ``value`` as the annotated type ``kind``, or raise."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [one for one in arguments if one is not type(None)]
        # Of text or a list of texts, the one that the value is.
        fitting = [one for one in kinds if isinstance(value, list) == (_base(one) is list)]
        return _check((fitting or kinds)[0], value, where)
    if origin is Literal:
        if value in arguments:
            return value
    elif _base(kind) is list:
        if isinstance(value, list):
            return [_check(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    elif origin is dict:
        if isinstance(value, dict):
            return {
                key: _check(arguments[1], item, f"{where}.{key}") for key, item in value.items()
            }
    elif is_dataclass(kind):
        return parse_record(cast(type, kind), value, where)
    elif kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    raise SpecError(f"{where}: {value!r} is no {kind}; export again")
