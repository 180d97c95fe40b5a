"""`OnnxGraph` reads an ONNX file's nodes, and where the numbers of its tensors lie.

Nothing is copied: a tensor's numbers are a view of the mapped file. The numbers of fields are those
of ``onnx.proto``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import SessionError, first_line
from ....onnx_file.check import check_file
from ....onnx_file.external_data import BITS, external_of
from ....onnx_file.messages import RefusedError, integers, texts
from ....onnx_file.protobuf import BYTES, Field, fields
from ....reading import map_file

FLOATS = frozenset({1, 10, 11, 16, 17, 18, 19, 20})  # TensorProto.DataType, 8 to 64 bits
CODES = frozenset({2, 3, 4, 5})  # integers of 8 and 16 bits
_UNITS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}  # by the bits of an element
_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_INPUT, _OUTPUT, _NAME, _OPERATOR, _ATTRIBUTE, _DOMAIN = 1, 2, 3, 4, 5, 7  # of NodeProto
_TENSOR, _BODY, _BODIES = 5, 6, 11  # of AttributeProto
_DIMS, _TYPE, _TENSOR_NAME = 1, 2, 8  # of TensorProto
# Fields of TensorProto that hold numbers as they lie in memory, and the types that may use them.
_RAW, _PACKED = 9, {4: 1, 10: 11}


class Place(NamedTuple):
    """Bytes of a file.

    Attributes:
        location: The file beside the model that has them; empty: the model's own.
        start: The first byte.
        size: Their number.
    """

    location: str
    start: int
    size: int


class Tensor(NamedTuple):
    """A tensor of a file.

    Attributes:
        name: The value that it is.
        kind: Its type, a TensorProto.DataType.
        dims: Its extents.
        place: Where its numbers lie; None if they are stored one by one, as texts or in bits.
    """

    name: str
    kind: int
    dims: tuple[int, ...]
    place: Place | None

    def view(self, data: Any) -> NDArray[Any]:
        """Return its numbers in the bytes of their file, as unsigned integers of their size.

        A matrix keeps its two axes; everything else is [elements].
        """
        assert self.place is not None
        unit = np.dtype(_UNITS[BITS[self.kind]])
        flat = np.frombuffer(data, unit, self.place.size // unit.itemsize, self.place.start)
        return flat.reshape(self.dims) if len(self.dims) == 2 else flat


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes:
        operator: Its operator, behind the domain if that is not ONNX's own.
        name: Its name; may be empty.
        inputs: Names of its inputs; empty where one is left out.
        outputs: Names of its outputs.
        bodies: The graphs that it runs, such as the branches of an If.
    """

    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    bodies: list[Body] = field(default_factory=list["Body"])

    def all_nodes(self) -> Iterator[Node]:
        """Yield the node and those inside it."""
        yield self
        for body in self.bodies:
            for node in body.nodes:
                yield from node.all_nodes()

    @cached_property
    def reads(self) -> list[str]:
        """Names that the node, or one inside it, reads."""
        return [name for node in self.all_nodes() for name in node.inputs if name]


@dataclass(frozen=True)
class Body:
    """The nodes of a graph inside a node."""

    nodes: list[Node]


class OnnxGraph:
    """The graph of an ONNX file.

    Attributes:
        path: The file.
        files: The files beside it that hold numbers, as it names them.
        nodes: Its nodes, each behind those that it reads, and otherwise in the file's order.
        tensors: Its constants: initializers and the tensors of Constant nodes, those of graphs
            inside nodes included.
    """

    def __init__(self, path: Path) -> None:
        """Read the graph.

        Args:
            path: An ONNX file.

        Raises:
            SessionError: It cannot be read, is no ONNX file, or lacks its weights.
        """
        self.path = path
        self.files = check_file(path, SessionError)
        self._data = memoryview(map_file(path, SessionError))
        self._beside: dict[str, Any] = {}
        self.tensors: list[Tensor] = []
        nodes: list[Node] = []
        try:
            for one in fields(self._data):
                if one.number == _GRAPH:
                    nodes += self._body(one).nodes
        except (ValueError, IndexError, RefusedError) as error:
            reason = first_line(error)
            raise SessionError(f"cannot read {path.name} as ONNX: {reason}; export again") from None
        self.nodes = _in_order(nodes)

    def numbers(self, tensor: Tensor) -> NDArray[Any]:
        """Return the numbers of a tensor that has a place; see `Tensor.view`."""
        assert tensor.place is not None
        location = tensor.place.location
        if not location:
            return tensor.view(self._data)
        if location not in self._beside:
            self._beside[location] = map_file(beside(self.path, location), SessionError)
        return tensor.view(self._beside[location])

    def _body(self, graph: Field) -> Body:
        nodes: list[Node] = []
        for one in fields(self._data, graph.start, graph.end):
            if one.number == _INITIALIZER:
                self._add_tensor(one)
            elif one.number == _NODE:
                nodes.append(self._node(one))
        return Body(nodes)

    def _node(self, message: Field) -> Node:
        data = self._data[message.start : message.end]
        operator, domain, name = (
            "".join(texts(data, number)[-1:]) for number in (_OPERATOR, _DOMAIN, _NAME)
        )
        node = Node(
            operator if domain in ("", "ai.onnx") else f"{domain}.{operator}", name,
            texts(data, _INPUT), texts(data, _OUTPUT),
        )  # fmt: skip
        for attribute in fields(self._data, message.start, message.end):
            if attribute.number != _ATTRIBUTE:
                continue
            for one in fields(self._data, attribute.start, attribute.end):
                if one.number == _TENSOR and operator == "Constant":
                    self._add_tensor(one, node.outputs[0])
                elif one.number in (_BODY, _BODIES) and one.kind == BYTES:
                    node.bodies.append(self._body(one))
        return node

    def _add_tensor(self, message: Field, name: str = "") -> None:
        data = self._data[message.start : message.end]
        name = name or "".join(texts(data, _TENSOR_NAME)[-1:])
        kind = next(iter(integers(data, _TYPE)[-1:]), 0)
        dims = tuple(integers(data, _DIMS))
        self.tensors.append(Tensor(name, kind, dims, self._place(message, kind, dims)))

    def _place(self, message: Field, kind: int, dims: tuple[int, ...]) -> Place | None:
        if BITS.get(kind) not in _UNITS:
            return None
        size = math.prod(dims) * BITS[kind] // 8
        elsewhere = external_of(self._data[message.start : message.end])
        if elsewhere is not None:
            return Place(elsewhere.location, elsewhere.offset, elsewhere.size)
        found = [
            one for one in fields(self._data, message.start, message.end)
            if one.kind == BYTES and (one.number == _RAW or _PACKED.get(one.number) == kind)
        ]  # fmt: skip
        whole = len(found) == 1 and found[0].end - found[0].start == size
        return Place("", found[0].start, size) if whole else None


def _in_order(nodes: list[Node]) -> list[Node]:
    """Put nodes behind those that they read.

    Files should have this order, but ONNX Runtime reads any, and its float16 tool writes another.
    """
    makers = {name: place for place, node in enumerate(nodes) for name in node.outputs}
    found: dict[int, Node] = {}
    opened = set[int]()
    for first in range(len(nodes)):
        waiting = [first]
        while waiting:
            place = waiting[-1]
            read = {makers[name] for name in nodes[place].reads if name in makers} - found.keys()
            if read and place not in opened:
                opened.add(place)
                waiting += sorted(read, reverse=True)
                continue
            found.setdefault(place, nodes[waiting.pop()])
    return [*found.values()]


def beside(path: Path, location: str) -> Path:
    """Return the file that a model in ``path`` names for its weights."""
    return path.parent.joinpath(*location.split("/"))
