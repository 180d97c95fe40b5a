"""`fingerprint` computes digests of the graph and of the weights in an ONNX file.

They are the same after another program reads the file and writes the same model: neither the order
of protobuf's fields nor the place of a tensor's bytes (in the file or beside it) counts, and so do
not comments, names of nodes, metadata and inferred shapes. docs/artifact.md defines them.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CustodyError
from ..onnx_file.check import check_file
from ..onnx_file.protobuf import Field, fields, read_varint
from ..reading import map_file
from .entries import reading

_CHUNK = 1 << 20
_DEEPEST = 100  # protobuf's own limit
_MOST = 4_000_000  # fields, of 150 bytes in memory; the largest models have a tenth
Sink = Callable[[bytes], None]


@dataclass(frozen=True)
class Fingerprint:
    """What a file contains.

    Attributes:
        graph: SHA-256 of nodes, inputs, outputs, functions and operator sets.
        weights: SHA-256 of the initializers.
        files: Names of the files beside it that its weights lie in.
    """

    graph: str
    weights: str
    files: tuple[str, ...] = ()


def fingerprint(path: Path) -> Fingerprint:
    """Read a file and compute its digests, in bounded memory.

    Raises:
        CustodyError: It cannot be read, is no ONNX file, or lacks its weights.
    """
    check_file(path, CustodyError)
    with reading(path), contextlib.ExitStack() as opened:
        data = opened.enter_context(map_file(path, CustodyError))
        walk = _Walk(data, path, opened)
        graph, weights = hashlib.sha256(), hashlib.sha256()
        walk.message("model", 0, len(data), graph.update)
        walk.hash_weights(weights.update)
        return Fingerprint(graph.hexdigest(), weights.hexdigest(), tuple(sorted(walk.beside)))


@dataclass(frozen=True)
class _Message:
    """Which fields of a message count, by their numbers in ``onnx.proto``.

    Attributes:
        skipped: Fields without a meaning for what the model computes.
        optional: Fields that may be missing where they are empty.
        numbers: Lists of numbers, which protobuf writes in one field or in many.
        inner: Fields that are messages of this table.
        unordered: Lists in any order; they are sorted by their entries' first field.
    """

    skipped: frozenset[int] = frozenset()
    optional: frozenset[int] = frozenset()
    numbers: frozenset[int] = frozenset()
    inner: Mapping[int, str] = field(default_factory=dict[int, str])
    unordered: frozenset[int] = frozenset()


# A field that is not named here counts as its bytes.
_MESSAGES = {
    "model": _Message(
        # Versions, producer, domain, comment, metadata.
        skipped=frozenset({1, 2, 3, 4, 5, 6, 14}),
        inner={7: "graph", 8: "opset", 25: "function"},
        unordered=frozenset({8}),
    ),
    "graph": _Message(
        # Name, comment, shapes of inner values, metadata; initializers count as weights.
        skipped=frozenset({2, 5, 10, 13, 16}),
        inner={1: "node", 11: "value", 12: "value", 15: "sparse"},
    ),
    "node": _Message(
        skipped=frozenset({3, 6, 9}),  # name, comment, metadata
        optional=frozenset({7, 8}),  # domain, overload
        inner={5: "attribute"},
        unordered=frozenset({5}),
    ),
    "attribute": _Message(
        skipped=frozenset({13}),  # comment
        optional=frozenset({21}),  # the function's attribute that it is
        numbers=frozenset({7, 8}),
        inner={5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    ),
    "value": _Message(skipped=frozenset({3, 4})),  # comment, metadata
    "tensor": _Message(
        # Comment, where the bytes lie, metadata.
        skipped=frozenset({12, 14, 16}),
        optional=frozenset({8}),  # name
        numbers=frozenset({1, 4, 5, 7, 10, 11}),
    ),
    "sparse": _Message(numbers=frozenset({3}), inner={1: "tensor", 2: "tensor"}),
    "opset": _Message(optional=frozenset({1})),
    "function": _Message(
        skipped=frozenset({8, 12, 14}),  # comment, shapes of inner values, metadata
        optional=frozenset({13}),  # overload
        inner={7: "node", 9: "opset", 11: "attribute"},
        unordered=frozenset({9}),
    ),
}
_FIRST = 1
_INITIALIZER = 5  # of a graph
_NAME, _RAW, _EXTERNAL, _LOCATION = 8, 9, 13, 14  # of a tensor
_BESIDE = 1  # a tensor's location: its bytes are in another file


class _Walk:
    """One pass over a file.

    Attributes:
        beside: The files with weights, by name.
    """

    def __init__(self, data: mmap.mmap, path: Path, opened: contextlib.ExitStack) -> None:
        self.beside: dict[str, mmap.mmap] = {}
        self._data, self._path, self._opened = data, path, opened
        self._graphs = self._count = 0
        self._weights: list[tuple[int, bytes, Field]] = []

    def message(self, kind: str, start: int, stop: int, sink: Sink, depth: int = 0) -> None:
        """Pass the parts of a message that count to ``sink``, in a form that has no choices.

        Each field, in the order of the numbers: ``number:size:content``, or ``number{...}`` of a
        message.
        """
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        rule, found = _MESSAGES[kind], self._by_number(start, stop)
        if kind == "graph":
            self._graphs += 1
            self._weights += [
                (self._graphs, self._text(one, _NAME), one) for one in found.get(_INITIALIZER, [])
            ]
        for number in sorted(found.keys() - rule.skipped):
            entries = found[number]
            if number in rule.unordered:
                entries.sort(key=lambda one: self._text(one, _FIRST))
            if number in rule.numbers:
                self._numbers(number, entries, sink)
            elif kind == "tensor" and number == _EXTERNAL:
                self._content_beside(found, sink)
            else:
                for one in entries:
                    self._value(number, one, rule, sink, depth)

    def hash_weights(self, sink: Sink) -> None:
        """Pass all initializers to ``sink``, graph by graph in the order of their names."""
        for graph, _, one in sorted(self._weights, key=lambda entry: entry[:2]):
            sink(b"%d{" % graph)
            self.message("tensor", one.start, one.end, sink)
            sink(b"}")

    def _by_number(self, start: int, stop: int) -> dict[int, list[Field]]:
        found: dict[int, list[Field]] = {}
        for one in fields(self._data, start, stop):
            found.setdefault(one.number, []).append(one)
            self._count += 1
            if self._count > _MOST:
                raise ValueError(f"it has more than {_MOST:,} fields")
        return found

    def _value(self, number: int, one: Field, rule: _Message, sink: Sink, depth: int) -> None:
        if number in rule.inner:
            sink(b"%d{" % number)
            self.message(rule.inner[number], one.start, one.end, sink, depth + 1)
            sink(b"}")
        elif one.end > one.start or number not in rule.optional:
            sink(b"%d:%d:" % (number, one.end - one.start))
            _stream(sink, self._data, one.start, one.end)

    def _numbers(self, number: int, entries: Sequence[Field], sink: Sink) -> None:
        size = sum(one.end - one.start for one in entries)
        if size:
            sink(b"%d:%d:" % (number, size))
            for one in entries:
                _stream(sink, self._data, one.start, one.end)

    def _text(self, message: Field, number: int) -> bytes:
        """The content of a field of a message; empty if it has none."""
        inside = fields(self._data, message.start, message.end)
        return next((self._data[a.start : a.end] for a in inside if a.number == number), b"")

    def _content_beside(self, found: Mapping[int, list[Field]], sink: Sink) -> None:
        """Pass a tensor's bytes in another file on, as if they were in the tensor."""
        places = found.get(_LOCATION, [])
        if not places or read_varint(self._data, places[-1].start)[0] != _BESIDE:
            return  # ONNX Runtime does not read them
        about = {self._text(one, 1): self._text(one, 2).decode() for one in found[_EXTERNAL]}
        name, start = about.get(b"location", ""), int(about.get(b"offset", 0))
        data = self._open(name)
        stop = start + int(about[b"length"]) if b"length" in about else len(data)
        sink(b"%d:%d:" % (_RAW, stop - start))
        _stream(sink, data, start, stop)

    def _open(self, name: str) -> mmap.mmap:
        if name not in self.beside:
            data = map_file(self._path.parent / name, CustodyError)
            self.beside[name] = self._opened.enter_context(data)
        return self.beside[name]


def _stream(sink: Sink, data: mmap.mmap, start: int, stop: int) -> None:
    for place in range(start, stop, _CHUNK):
        sink(data[place : min(place + _CHUNK, stop)])
