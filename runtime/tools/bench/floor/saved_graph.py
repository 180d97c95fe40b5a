"""`read_graph` reads nodes and weights' shapes of an ONNX file without the package onnx.

ONNX files are protobuf messages; the numbers of their fields are those of ``onnx.proto``. Only what
the floor needs is read; weights are skipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....errors import SessionError
from ....onnx_file.protobuf import VARINT, fields, read_varint
from ..profile import Tensor

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of GraphProto
_ATTRIBUTE = 5  # of NodeProto: 1 inputs, 2 outputs, 3 name, 4 operator
_SUBGRAPHS = (6, 11)  # of AttributeProto
_DIMS, _TYPE, _NAME = 1, 2, 8  # of TensorProto
# TensorProto.DataType, in the words of ONNX Runtime's profile.
_TYPES = {
    1: "float", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "double", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip

Fields = dict[int, list["int | memoryview"]]


@dataclass(frozen=True)
class SavedNode:
    """A node of a graph.

    Attributes:
        name: Its name; may be empty.
        operator: Its operator.
        inputs: Names of its inputs, without absent ones.
        outputs: Names of its outputs.
        weights: Those of its inputs that are weights, by name.
        inner: The nodes of its branches or body.
        captured: Names of outer values that those nodes read.
    """

    name: str
    operator: str
    inputs: list[str]
    outputs: list[str]
    weights: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    inner: list[SavedNode] = field(default_factory=list["SavedNode"])
    captured: set[str] = field(default_factory=set[str])

    @property
    def reads(self) -> set[str]:
        """Names of all values that the node depends on."""
        return {*self.inputs, *self.captured}


@dataclass(frozen=True)
class SavedGraph:
    """A graph.

    Attributes:
        nodes: Its nodes, in the order in which they run.
        outputs: Names of its outputs.
    """

    nodes: list[SavedNode]
    outputs: list[str]


def save_graph(options: Any, path: Path) -> None:
    """Make ONNX Runtime save the graph that it optimises; set in ``SessionOptions``.

    Weights go to a file beside it: they are not read, and may exceed the 2 GB of one ONNX file.
    """
    options.optimized_model_filepath = str(path)
    entry = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{entry}_file_name", f"{path.stem}.weights")
    options.add_session_config_entry(f"{entry}_min_size_in_bytes", "1024")


def read_graph(path: Path) -> SavedGraph:
    """Read a file that ONNX Runtime wrote.

    Raises:
        SessionError: It is no ONNX file.
    """
    try:
        return _read(memoryview(path.read_bytes()))
    except (IndexError, KeyError, ValueError) as error:
        raise SessionError(f"{path} is no ONNX file: {error}; export it again") from None


def _read(data: memoryview) -> SavedGraph:
    graph = _bytes(_fields(data)[_GRAPH][-1])
    nodes, _ = _graph(graph, {})
    return SavedGraph(nodes, [_text(_fields(_bytes(one))[1][0]) for one in _fields(graph)[_OUTPUT]])


def _graph(data: memoryview, outer: Mapping[str, Tensor]) -> tuple[list[SavedNode], set[str]]:
    """Return the nodes, and the names of the values that the graph itself defines."""
    found = _fields(data)
    own = dict(_weight(_bytes(one)) for one in found[_INITIALIZER])
    formal = {_text(_fields(_bytes(one))[1][0]) for one in found[_INPUT]}
    # A name of the inner graph hides the same name of the outer one.
    weights = {name: tensor for name, tensor in outer.items() if name not in formal} | own
    nodes = [_node(_bytes(one), weights) for one in found[_NODE]]
    return nodes, {*own, *formal, *(name for node in nodes for name in node.outputs)}


def _node(data: memoryview, weights: Mapping[str, Tensor]) -> SavedNode:
    found = _fields(data)
    inputs, outputs = ([name for one in found[n] if (name := _text(one))] for n in (1, 2))
    name, operator = (_text(found[n][0]) if found[n] else "" for n in (3, 4))
    inner: list[SavedNode] = []
    captured: set[str] = set()
    for attribute in found[_ATTRIBUTE]:
        about = _fields(_bytes(attribute))
        for graph in (one for number in _SUBGRAPHS for one in about[number]):
            nodes, defined = _graph(_bytes(graph), weights)
            inner += nodes
            captured |= {name for node in nodes for name in node.reads} - defined
    used = {one: weights[one] for one in inputs if one in weights}
    return SavedNode(name, operator, inputs, outputs, used, inner, captured)


def _weight(data: memoryview) -> tuple[str, Tensor]:
    found = _fields(data)
    shape: list[int] = []
    for one in found[_DIMS]:
        shape += [one] if isinstance(one, int) else _packed(one)
    kind = found[_TYPE][0] if found[_TYPE] else 0
    return _text(found[_NAME][0]), Tensor(_TYPES.get(int(kind), "other"), tuple(shape))  # type: ignore[arg-type]


def _fields(data: memoryview) -> Fields:
    """Return the values of a message's fields by number."""
    found: Fields = defaultdict(list)
    for one in fields(data):
        value = data[one.start : one.end]
        found[one.number].append(read_varint(value, 0)[0] if one.kind == VARINT else value)
    return found


def _packed(data: memoryview) -> list[int]:
    found: list[int] = []
    at = 0
    while at < len(data):
        value, at = read_varint(data, at)
        found.append(value)
    return found


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_bytes(value)).decode("utf-8")
