"""Changes of a file's bytes, as somebody makes them who wants to go unnoticed."""

from __future__ import annotations

from pathlib import Path

from graftcam.runtime.onnx_file.protobuf import fields

GRAPH, INITIALIZER, RAW = 7, 5, 9


def flip(path: Path, place: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def replace(path: Path, old: bytes, new: bytes, count: int = 1) -> None:
    """Put other bytes of the same number in place of the first ones."""
    data = path.read_bytes()
    assert data.count(old) >= count, old
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new, count))


def flip_weight(path: Path) -> None:
    """Change one bit of the largest weight in a file."""
    data = memoryview(path.read_bytes())
    (graph,) = (one for one in fields(data) if one.number == GRAPH)
    tensors = (one for one in fields(data, graph.start, graph.end) if one.number == INITIALIZER)
    inside = (one for tensor in tensors for one in fields(data, tensor.start, tensor.end))
    largest = max((one for one in inside if one.number == RAW), key=lambda one: one.end - one.start)
    flip(path, largest.end - 1)
