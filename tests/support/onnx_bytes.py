"""Small ONNX files from text, without the package onnx, so that the runtime's tests need none.

The text is the part of ONNX's own textual syntax that small graphs need (`onnx.parser` reads it
too): a header, typed inputs and outputs, and one operator a statement. The bytes are protobuf's
wire format: each field is a key, ``number << 3 | kind``, and a value. Field numbers are those of
``onnx.proto``.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping

import numpy as np

# TensorProto.DataType.
TYPES = {"float": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "double": 11}
NUMPY = {"float32": "float", "float64": "double"}
HEADER = re.compile(
    r"\s*<\s*ir_version:\s*(\d+),\s*opset_import:\s*\[([^]]*)\]\s*>"
    r"\s*(\w+)\s*\(([^)]*)\)\s*=>\s*\(([^)]*)\)\s*\{(.*)\}\s*$",
    re.DOTALL,
)
NODE = re.compile(
    r"([\w\s,]+?)=\s*(\w+)\s*"
    r'(?:<((?:"[^"]*"|[^">])*)>)?'
    r"\s*\(([^)]*)\)"
)
ATTRIBUTE = re.compile(r"(\w+)\s*=\s*(\[[^]]*\]|\"[^\"]*\"|[-+.\w]+)")
PORT = re.compile(r"(\w+)\[([^]]*)\]\s*(\w+)")


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, value: float | str | bytes) -> bytes:
    """One field: an integer, a float32, or the length and the bytes of anything else."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def names(text: str) -> list[str]:
    """Names between commas; an input that is left out is an empty one."""
    return [name.strip() for name in text.split(",")] if text.strip() else []


def attribute(name: str, text: str) -> bytes:
    """An AttributeProto; integers, floats, strings and lists of integers."""
    value = json.loads(text)
    if isinstance(value, list):
        return field(1, name) + b"".join(field(8, int(one)) for one in value) + field(20, 7)
    kind, number = {float: (1, 2), int: (2, 3), str: (3, 4)}[type(value)]
    return field(1, name) + field(number, value) + field(20, kind)


def node(outputs: str, kind: str, attributes: str, inputs: str) -> bytes:
    """A NodeProto."""
    return (
        b"".join(field(1, name) for name in names(inputs))
        + b"".join(field(2, name) for name in names(outputs))
        + field(4, kind)
        + b"".join(field(5, attribute(*pair)) for pair in ATTRIBUTE.findall(attributes))
    )


def port(kind: str, shape: str, name: str) -> bytes:
    """A ValueInfoProto: the name and type of an input or output, its axes numbers or names."""
    axes = [field(1, int(e)) if e.isdigit() else field(2, e) for e in names(shape)]
    extents = b"".join(field(1, axis) for axis in axes)
    return field(1, name) + field(2, field(1, field(1, TYPES[kind]) + field(2, extents)))


def tensor(name: str, array: np.ndarray) -> bytes:
    """A TensorProto with raw data."""
    kind = TYPES[NUMPY.get(array.dtype.name, array.dtype.name)]
    extents = b"".join(field(1, extent) for extent in array.shape)
    return extents + field(2, kind) + field(8, name) + field(9, array.tobytes())


def onnx_model(
    text: str,
    constants: Mapping[str, np.ndarray] | None = None,
    metadata: Mapping[str, str | bytes] | None = None,
    node_names: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of the model that ``text`` spells, with initializers and metadata.

    ``node_names`` are the names of nodes by their output; other nodes have none.
    """
    header = HEADER.match(text)
    assert header, text
    version, opsets, graph_name, inputs, outputs, body = header.groups()
    nodes = NODE.findall(body)
    rest = NODE.sub("", body).strip()
    assert not rest, f"no statement: {rest}"
    called = {output: field(3, name) for output, name in (node_names or {}).items()}
    graph = (
        b"".join(field(1, node(*parts) + called.get(parts[0].strip(), b"")) for parts in nodes)
        + field(2, graph_name)
        + b"".join(field(5, tensor(*pair)) for pair in (constants or {}).items())
        + b"".join(field(11, port(*parts)) for parts in PORT.findall(inputs))
        + b"".join(field(12, port(*parts)) for parts in PORT.findall(outputs))
    )
    imports = [field(1, domain) + field(2, int(since))
               for domain, since in re.findall(r'"([^"]*)"\s*:\s*(\d+)', opsets)]  # fmt: skip
    return (
        field(1, int(version))
        + field(7, graph)
        + b"".join(field(8, one) for one in imports)
        + b"".join(field(14, field(1, k) + field(2, v)) for k, v in (metadata or {}).items())
    )
