"""These functions convert records to JSON and parse them strictly.

A record is a dataclass. Its annotations say the types and bounds of its fields; `Record.faults`
says which fields contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, TypeAlias, TypeVar, cast

from .checks import described, is_union, matches, parts, short, types_of
from .errors import SpecError

Fault: TypeAlias = tuple[str, str]
"""A field's name, and what its value should be."""
_SHOWN = 5  # of the fields that a message names


class Record:
    """The base of records with fields that depend on each other."""

    def faults(self) -> Iterator[Fault]:
        """Yield the fields that contradict others; each field is within its own bounds already."""
        yield from ()


def faults_of(record: Any) -> Iterator[Fault]:
    """Yield the fields of a dataclass with a wrong type or value; see `Record.faults`."""
    wrong = [
        (name, described(kind))
        for name, kind in types_of(type(record)).items()
        if not matches(getattr(record, name), kind)
    ]
    yield from wrong or (record.faults() if isinstance(record, Record) else ())


def written(value: Any) -> Any:
    """Convert a record to JSON types; optional fields that are None are left out."""
    if is_dataclass(value):
        entries = [(e, written(getattr(value, e.name))) for e in fields(value)]
        return {e.name: made for e, made in entries if made is not None or e.default is not None}
    if isinstance(value, (list, tuple)):
        return [written(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Real):  # numpy's
        return int(value) if isinstance(value, Integral) else float(value)
    return value


Made = TypeVar("Made")


def parse_record(kind: type[Made], data: Any, where: str) -> Made:
    """Build the dataclass ``kind`` from parsed JSON.

    Args:
        kind: The dataclass.
        data: The value that JSON holds.
        where: Where it stands, for messages.

    Raises:
        SpecError: A field is missing, unknown, of another type, out of bounds, or contradicts
            another one.
    """
    if not isinstance(data, dict):
        raise SpecError(f"{where}: expected an object, found {type(data).__name__}; export again")
    found, kinds, entries = cast("dict[str, Any]", data), types_of(kind), fields(cast(Any, kind))
    names = [entry.name for entry in entries if entry.name in found or entry.default is not None]
    unknown, missing = sorted(set(found) - set(names)), sorted(set(names) - set(found))
    if unknown or missing:
        raise SpecError(
            f"{where}: unknown fields {_some(unknown)}, missing fields {_some(missing)}; export "
            "again"
        )
    made = kind(**{name: _value(kinds[name], found[name], f"{where}.{name}") for name in names})
    for name, expected in made.faults() if isinstance(made, Record) else ():
        raise _refused(f"{where}.{name}", found.get(name), expected)
    return made


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return ``value`` as the annotated type ``kind``, or raise."""
    origin, arguments = parts(kind)
    if origin is Annotated:
        made = _value(arguments[0], value, where)
        if all(bound.allows(made) for bound in arguments[1:]):
            return made
    elif is_union(origin):
        if value is None and NoneType in arguments:
            return None
        kinds = [one for one in arguments if one is not NoneType]
        # Of text or a list of texts, the one that the value is.
        fitting = [one for one in kinds if isinstance(value, list) == _is_list(one)]
        return _value((fitting or kinds)[0], value, where)
    elif _is_list(kind):
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items)]
    elif origin is dict:
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value).items()
            return {
                _value(arguments[0], key, f"a name in {where}"): _value(
                    arguments[1], item, f"{where}[{short(key)}]"
                )
                for key, item in pairs
            }
    elif is_dataclass(kind):
        return parse_record(cast(type, kind), value, where)
    elif matches(value, kind):
        return float(value) if kind is float else value
    raise _refused(where, value, described(kind))


def _is_list(kind: Any) -> bool:
    origin, arguments = parts(kind)
    return _is_list(arguments[0]) if origin is Annotated else origin in (list, Sequence)


def _refused(where: str, value: Any, expected: str) -> SpecError:
    return SpecError(f"{where}: {short(value)} is not {expected}; export again")


def _some(names: Sequence[str]) -> str:
    """Return a list of names as text; of many the first."""
    shown: Iterable[str] = (repr(name) if len(name) < 40 else "..." for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"[{', '.join(shown)}]{more}"
