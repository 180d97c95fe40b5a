"""`messages` walks the messages of an ONNX file that can hold tensors or nodes.

The numbers of fields are those of ``onnx.proto``. Nothing is copied, and weights are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from .protobuf import BYTES, VARINT, fields, read_varint

Kind: TypeAlias = Literal[
    "model", "graph", "function", "training", "node", "attribute", "tensor", "sparse"
]
# Which fields of a message are messages that matter here, by the kind of the message.
_INSIDE: Mapping[Kind, Mapping[int, Kind]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}  # fmt: skip
_DEEPEST = 100  # messages inside each other; protobuf's own readers take no more


class RefusedError(Exception):
    """No library should open the file; the message continues a sentence that begins with it."""


class Message(NamedTuple):
    """A message of an ONNX file.

    Attributes:
        kind: What it describes.
        data: Its bytes.
        depth: Number of messages around it.
    """

    kind: Kind
    data: memoryview
    depth: int = 0


def inside(message: Message) -> Iterator[Message]:
    """Yield the messages that lie directly in another.

    Raises:
        ValueError: It is no message, or lies too deep; at its end, an IndexError.
    """
    kinds = _INSIDE[message.kind]
    if not kinds:
        return
    if message.depth >= _DEEPEST:
        raise ValueError(f"its graphs are nested deeper than {_DEEPEST} messages")
    for one in fields(message.data):
        kind = kinds.get(one.number)
        if kind is None:
            continue
        if one.kind != BYTES:
            raise ValueError(f"a {kind} is no message")
        yield Message(kind, message.data[one.start : one.end], message.depth + 1)


def texts(data: memoryview, number: int) -> list[str]:
    """Return all values of a field of text; protobuf takes the last where one is meant.

    Raises:
        ValueError: One is no text.
    """
    return [
        str(data[one.start : one.end], "utf-8")
        for one in fields(data)
        if one.number == number and one.kind == BYTES
    ]


def integers(data: memoryview, number: int) -> list[int]:
    """Return all values of a field of 64-bit integers, packed or not."""
    found: list[int] = []
    for one in fields(data):
        if one.number != number:
            continue
        at = one.start
        while one.kind in (VARINT, BYTES) and at < one.end:
            value, at = read_varint(data, at)
            found.append(value - (1 << 64) if value >> 63 else value)
    return found
