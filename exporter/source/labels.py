"""Class names in the forms that people keep them: lists, dicts, text and tables."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from ...runtime.limits import LABEL_BYTES, LABEL_LENGTH, LABELS
from ...runtime.reading import read_file
from ...runtime.strict_json import read_json
from ..errors import CaptureError, first_line, in_line

Labels: TypeAlias = list[str] | dict[str, list[str]] | None
"""Class names by id; of several outputs by the output's name; or none."""

_NUMBERED = re.compile(r"\s*(\d+)\s*[,;:\t ]\s*(.+)")
_NUMBER_FIRST = re.compile(r"\s*\d+\s*[,;:\t]")
_FILLER = re.compile(r"LABEL_\d+")
_SHOWN = 5  # missing ids that a message names
_NESTED = ("id2label", "names", "labels", "classes")  # keys of a model's configuration


def as_labels(value: Any) -> list[str]:
    """Return class names by id.

    Args:
        value: Names in order; a dict by number (``{0: "cat"}``, ``{"0": ["n02123045", "tabby"]}``),
            or by name (``{"cat": 0}``); a list of dicts with ``id`` and ``name``; a dict with one
            of these as ``id2label``, ``names``, ``labels`` or ``classes``; or the path of a file.

    Raises:
        CaptureError: It is something else, or ids are missing.
    """
    if isinstance(value, Path) or (isinstance(value, str) and Path(value).is_file()):
        return read_labels(Path(value))
    if isinstance(value, Mapping):
        return _of_mapping(cast("Mapping[Any, Any]", value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        entries = cast("Sequence[Any]", value)
        if entries and all(isinstance(one, Mapping) for one in entries):
            return _of_records(entries)
        if all(isinstance(one, str) for one in entries):
            return list(entries)
    raise CaptureError(
        f"labels takes a list of names, not {in_line(value)}, a dict or a file; give strings, such "
        "as ['cat', 'dog'] or {0: 'cat', 1: 'dog'}"
    )


def own_labels(module: object, classes: int) -> list[str] | None:
    """The class names that a model of transformers carries, in ``config.id2label``.

    None where there are none for ``classes`` classes, and where they are the library's fillers,
    ``LABEL_0`` and so on.
    """
    given = getattr(getattr(module, "config", None), "id2label", None)
    if not isinstance(given, Mapping) or len(cast("Mapping[Any, Any]", given)) != classes:
        return None
    try:
        names = as_labels(given)
    except CaptureError:
        return None
    return None if all(_FILLER.fullmatch(name) for name in names) else names


def labels_for(value: Any, outputs: Sequence[str | None]) -> Labels:
    """Return class names by id, or of several outputs those of each by its name.

    Args:
        value: As for `as_labels`; of several outputs a dict of these by the output's name.
        outputs: Names of the scored outputs; a single one may be None.

    Raises:
        CaptureError: As `as_labels`; also names of no output, or names for several at once.
    """
    if value is None:
        return None
    by_output = cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else None
    if len(outputs) == 1:
        (only,) = outputs
        named = by_output is not None and list(by_output) == [only]
        if by_output is not None and named and not _is_number(by_output[only]):
            return as_labels(by_output[only])
        return as_labels(value)
    names = ", ".join(map(repr, outputs))
    such = f"{{{outputs[0]!r}: [...]}} (--labels {outputs[0]}=FILE)"
    if by_output is None:
        raise CaptureError(
            f"labels={in_line(value)}, and several outputs are named, {names}; give the names of "
            f"each by its output, such as {such}"
        )
    unknown = [key for key in by_output if key not in outputs]
    if unknown:
        raise CaptureError(
            f"labels has {', '.join(map(repr, unknown))}, and the named outputs are {names}; give "
            f"the names of each by its output, such as {such}"
        )
    return {str(name): as_labels(by_output[name]) for name in outputs if name in by_output} or None


def labels_of_files(given: Sequence[str], outputs: Sequence[str | None]) -> Labels:
    """Read class names from ``FILE``, or for several outputs from ``OUTPUT=FILE`` for each.

    Raises:
        CaptureError: As `labels_for` and `read_labels`; also several files for one output.
    """
    pairs = [text.partition("=") for text in given]
    named = {name: file for name, equals, file in pairs if equals and name in outputs}
    if len(outputs) == 1:
        if len(given) > 1:
            raise CaptureError(
                f"labels has {', '.join(given)}, and one output is explained; give one file, or "
                "name the outputs with --output"
            )
        # A file's own name may have a = in it.
        file = given[0] if Path(given[0]).is_file() else next(iter(named.values()), given[0])
        return read_labels(Path(file))
    if len(named) < len(given):
        known = [f"{name}={file}" for name, file in named.items()]
        wrong = next(text for text in given if text not in known)
        raise CaptureError(
            f"labels={wrong!r} names none of the outputs {', '.join(map(repr, outputs))}, or one "
            f"again; give each output its file, such as --labels {outputs[0]}=FILE"
        )
    return {name: read_labels(Path(file)) for name, file in named.items()}


def read_labels(path: Path) -> list[str]:
    """Read class names from JSON (see `as_labels`) or text.

    Text has a name on each line, or ``number name``, ``number,name``, ``name,number`` and the like
    with ``,``, ``;``, a tab or a blank, after an optional line of headings.

    Raises:
        CaptureError: The file cannot be read, has another format, or ids are missing.
    """
    data = read_file(path, CaptureError, LABEL_BYTES, "labels")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CaptureError(
            f"cannot read labels from {path}: it is no UTF-8 text; save it as UTF-8"
        ) from error
    try:
        if path.suffix != ".json":
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return _of_lines(_at_most(lines))
        data = read_json(text)
        if isinstance(data, str):  # which `as_labels` would take for the name of another file
            raise CaptureError("it holds a single text; give a list of names")
        plain = isinstance(data, list) and all(isinstance(one, (str, int, float)) for one in data)
        return _at_most([str(one) for one in data] if plain else as_labels(data))
    except (CaptureError, ValueError, csv.Error) as error:
        raise CaptureError(f"cannot read labels from {path}: {first_line(error)}") from error


def _at_most(names: list[str]) -> list[str]:
    """Return the names, if they are not too many and too long to be those of classes."""
    if len(names) > LABELS:
        raise CaptureError(
            f"it has {len(names):,} names, and {LABELS:,} are the most; give a name for each class"
        )
    long = next((name for name in names if len(name) > LABEL_LENGTH), None)
    if long is not None:
        raise CaptureError(
            f"the name {in_line(long)} has {len(long):,} characters, and {LABEL_LENGTH:,} are the "
            "most; give a shorter one"
        )
    return names


def _of_mapping(data: Mapping[Any, Any]) -> list[str]:
    nested = [data[key] for key in _NESTED if isinstance(data.get(key), (Mapping, list))]
    if nested:
        return as_labels(nested[0])
    if data and all(_is_number(key) for key in data):
        return _in_order({int(key): _name(value) for key, value in data.items()})
    if data and all(_is_number(value) for value in data.values()):
        twins = len(data) - len({int(value) for value in data.values()})
        if twins:
            raise CaptureError("the labels give one number to several names; give a list of names")
        return _in_order({int(value): str(key) for key, value in data.items()})
    raise CaptureError(
        f"labels are a dict of {in_line(dict(data))}; give names by number, {{0: 'cat'}}, or "
        "numbers by name, {'cat': 0}"
    )


def _of_records(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of dicts with ``name`` and perhaps ``id``."""
    if not all("name" in one for one in entries):
        raise CaptureError(f"a label is {in_line(entries[0])}, which has no 'name'")
    if all(_is_number(one.get("id")) for one in entries):
        return _in_order({int(one["id"]): str(one["name"]) for one in entries})
    return [str(one["name"]) for one in entries]


def _of_lines(lines: list[str]) -> list[str]:
    """Names of a text; numbers are taken off where every line has its own."""
    rows = [_cells(line) for line in lines]
    for start in (0, 1):  # without and with headings
        for number, name in ((0, -1), (-1, 0)):
            body = [row for row in rows[start:] if len(row) > 1 and _is_number(row[number])]
            if not body or len(body) < len(rows) - start:
                continue
            names = {int(row[number]): row[name] for row in body}
            # "7 up" and "3 musketeers" are names; a table that has gaps is a table.
            table = all(map(_is_row, lines[start:]))
            if len(names) == len(body) and (table or max(names) <= len(names)):
                return _in_order(names)
    return lines


def _is_row(line: str) -> bool:
    """Whether a line is a row of a table: with a number before or behind a delimiter."""
    if _NUMBER_FIRST.match(line):
        return True
    name = line.rstrip("0123456789")
    delimiter = name[len(name.rstrip()) - 1 :]  # and blanks behind it
    return name != line and any(one in delimiter for one in ",;\t")


def _cells(line: str) -> list[str]:
    """The cells of a line of a table, with quotes taken off; number and name of a plain line."""
    for delimiter in ",;\t":
        cells = [one.strip() for one in next(csv.reader([line], delimiter=delimiter), [])]
        if len(cells) > 1 and (_is_number(cells[0]) or _is_number(cells[-1])):
            quoted = '"' in line
            return cells if quoted or not _is_number(cells[0]) else _split(line, cells, delimiter)
    found = _NUMBERED.fullmatch(line)
    return [found[1], found[2].strip()] if found else [line]


def _split(line: str, cells: list[str], delimiter: str) -> list[str]:
    """A number and a name that may have the delimiter in it: ``1,goldfish, Carassius``."""
    if delimiter == "," and f"{delimiter} " in line:
        return [cells[0], line.partition(delimiter)[2].strip()]
    return cells


def _in_order(names: Mapping[int, str]) -> list[str]:
    if min(names) < 0:
        raise CaptureError(f"the labels have a name for {min(names)}; count classes from 0")
    first = 1 if 0 not in names and 1 in names and len(names) in names else 0
    wanted = range(first, first + len(names))
    count = max(names) + 1 - first - len(names)
    if count:
        # A number may be as large as the file says: no list of all that are missing.
        absent = (number for number in itertools.count(first) if number not in names)
        shown = ", ".join(map(str, itertools.islice(absent, min(count, _SHOWN))))
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        raise CaptureError(
            f"the labels have no name for {shown}{more}, of the numbers {first} to {max(names)}; "
            "give each class one"
        )
    return [names[number] for number in wanted]


def _name(value: Any) -> str:
    """A name; of Keras' ``[synset, name]`` the last."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return str(cast("Sequence[Any]", value)[-1])
    if isinstance(value, Mapping) and "name" in value:
        return str(cast("Mapping[str, Any]", value)["name"])
    return str(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)
