"""`read_ports` reads the inputs, outputs and metadata of an ONNX file, without a library for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import GraftcamError
from ..reading import map_file
from .messages import integers, texts
from .protobuf import BYTES, fields

# Fields of ModelProto, GraphProto, ValueInfoProto, TypeProto and TensorShapeProto in onnx.proto.
_GRAPH, _METADATA = 7, 14
_INITIALIZER, _INPUT, _OUTPUT, _INITIALIZER_NAME = 5, 11, 12, 8
_NAME, _TYPE, _TENSOR, _ELEMENT, _SHAPE, _DIM, _EXTENT, _SYMBOL = 1, 2, 1, 1, 2, 1, 1, 2
_TYPES = {
    1: "float", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "double", 12: "uint32", 13: "uint64",
    16: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class PortInfo:
    """An input or output of a graph, as ONNX Runtime describes it.

    Attributes:
        name: Its name.
        type: ONNX Runtime's name for its type, ``tensor(float)``.
        shape: Its extents; text for a named one, None for an open one. Empty: unknown, or a scalar.
    """

    name: str
    type: str
    shape: list[int | str | None]


@dataclass(frozen=True)
class FilePorts:
    """What a file says of its graph.

    Attributes:
        inputs: Those that must be fed.
        optional: Those that have a default.
        outputs: All outputs.
        metadata: The file's entries.
    """

    inputs: list[PortInfo]
    optional: list[PortInfo]
    outputs: list[PortInfo]
    metadata: dict[str, str]


def read_ports(path: Path, kind: type[GraftcamError]) -> FilePorts:
    """Read what ``path`` takes and gives; weights are not read.

    Raises:
        GraftcamError: Of ``kind``: it cannot be read, or is no ONNX file.
    """
    data = memoryview(map_file(path, kind))
    try:
        graph = list(_inside(data, _GRAPH))[-1]
        filled = {
            name for one in _inside(graph, _INITIALIZER) for name in texts(one, _INITIALIZER_NAME)
        }
        inputs = [_port(one) for one in _inside(graph, _INPUT)]
        entries = [(texts(one, 1), texts(one, 2)) for one in _inside(data, _METADATA)]
        return FilePorts(
            [one for one in inputs if one.name not in filled],
            [one for one in inputs if one.name in filled],
            [_port(one) for one in _inside(graph, _OUTPUT)],
            {"".join(key[-1:]): "".join(value[-1:]) for key, value in entries},
        )
    except (ValueError, IndexError) as error:
        raise kind(f"cannot read {path.name} as ONNX: {error}; give an ONNX file") from None


def _inside(data: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the messages in a field."""
    for one in fields(data):
        if one.number == number and one.kind == BYTES:
            yield data[one.start : one.end]


def _port(data: memoryview) -> PortInfo:
    tensor = next(
        (t for kind in _inside(data, _TYPE) for t in _inside(kind, _TENSOR)), memoryview(b"")
    )
    element = _TYPES.get(next(iter(integers(tensor, _ELEMENT)), 0), "unknown")
    extents = [_extent(dim) for shape in _inside(tensor, _SHAPE) for dim in _inside(shape, _DIM)]
    return PortInfo("".join(texts(data, _NAME)[-1:]), f"tensor({element})", extents)


def _extent(dim: memoryview) -> int | str | None:
    known = integers(dim, _EXTENT)
    return known[-1] if known else next(iter(texts(dim, _SYMBOL)), None)
