"""The `Emitter` makes every node that graftcam adds to a graph.

Equal expressions become one node, equal constants one initializer, and each value gets a name that
shows where it comes from.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .profiles import DEFAULT, Profile

Dim: TypeAlias = int | str | None
AttributeValue: TypeAlias = (
    int | float | str | Sequence[int] | Sequence[float] | Sequence[str] | ir.Graph
)
# An extent: static, or that of a value along an axis, read at run time.
Part: TypeAlias = int | tuple[ir.Value, int]
# One extent, or an int64 vector of several.
Extent: TypeAlias = Part | ir.Value
# An input of a node. A number is a scalar of the type of the last value among the inputs, a list
# an int64 vector; None is an omitted input.
Operand: TypeAlias = ir.Value | float | Sequence[Extent] | None
Values: TypeAlias = Sequence[ir.Value]
# From states and slices to new states and results.
Step: TypeAlias = Callable[[Values, Values], tuple[Values, Values]]


def dims_of(value: ir.Value) -> list[Dim]:
    """Return the shape of ``value``: an int, a symbolic name or None (unknown) for each axis.

    The rank must be known; the plan of `differentiate.backward` checks it for all active values.
    """
    if value.shape is None:
        raise ValueError(f"value {value.name!r} has no rank")
    return [dim if isinstance(dim, int) else dim.value for dim in value.shape]


def constant_of(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    """Return the array of a constant (an initializer that is no input, or a Constant node)."""
    if value is None or value.is_graph_input():
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    producer = value.producer()
    if producer is not None and producer.op_type == "Constant":
        tensor = ir.convenience.get_const_tensor(value)
        return None if tensor is None else tensor.numpy()
    return None


def parts_of(value: ir.Value, axes: Sequence[int] | None = None) -> list[Part]:
    """Return the extents of ``value`` along ``axes``, all by default."""
    dims = dims_of(value)
    chosen = range(len(dims)) if axes is None else axes
    return [extent if isinstance(extent := dims[axis], int) else (value, axis) for axis in chosen]


# Results are of the type of the first input, but for these operators.
_COMPARING = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_COUNTING = ("ArgMax", "ArgMin", "NonZero", "Shape", "Size")
_KINDS = {
    **dict.fromkeys(_COMPARING, ir.DataType.BOOL),
    **dict.fromkeys(_COUNTING, ir.DataType.INT64),
}
_TYPED_BY = {"Where": 1, "OneHot": 2}  # the input that they have the type of


class Emitter:
    """Appends nodes to ``graph``.

    Attributes:
        graph: The graph that nodes are appended to (inside `scan`, to its body).
        profile: What may be emitted.
        classes_dim: int64 [1], the number K of explained classes; set once the seed is made.
        folded: For cotangents [K, N, *rest] that a Reshape made from [K * N, *rest], the value
            before the Reshape, for rules that fold K and N again.
    """

    def __init__(self, graph: ir.Graph, profile: Profile = DEFAULT) -> None:
        self.graph = graph
        self.profile = profile
        self.classes_dim: ir.Value | None = None
        self.folded: dict[ir.Value, ir.Value] = {}
        # Named extents of the model's inputs, such as the batch, are read from the inputs: one
        # node for all that need them, where no optimiser moves it.
        self._symbols: dict[str, tuple[ir.Value, int]] = {}
        for value in graph.inputs:
            for axis, dim in enumerate(value.shape or ()):
                if isinstance(dim, ir.SymbolicDim) and dim.value:
                    self._symbols.setdefault(dim.value, (value, axis))
        self._scope = "cam"
        self._place = graph
        self._made: ChainMap[tuple[object, ...], tuple[ir.Value, ...]] = ChainMap()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self._names = {value.name for node in graph for value in node.outputs}
        self._names |= {value.name for value in graph.inputs} | set(graph.initializers)
        self._names |= {node.name for node in graph}
        self._numbers: dict[str, int] = {}  # the last one that a name got

    @contextmanager
    def scope(self, name: str) -> Generator[None]:
        """Include ``name`` in the names of all nodes made inside."""
        outer, self._scope = self._scope, name
        try:
            yield
        finally:
            self._scope = outer

    def unique(self, name: str) -> str:
        """Return ``name``, with a number appended if the graph has it already."""
        candidate, number = name, self._numbers.get(name, 1)
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._numbers[name] = number
        self._names.add(candidate)
        return candidate

    @property
    def classes(self) -> ir.Value:
        """K as an extent.

        Not a 0, which would copy it: ONNX Runtime's ReshapeFusion replaces the one extent of a
        shape that is read at run time by -1, which no longer means anything when K = 0. Two stay as
        they are.
        """
        assert self.classes_dim is not None
        return self.classes_dim

    @contextmanager
    def for_rows(self, rows: ir.Value | None) -> Generator[None]:
        """Let cotangents have the scores ``rows`` on their leading axis instead of all K."""
        every = self.classes_dim
        if rows is not None:
            self.classes_dim = self.op("Shape", rows, role="rows", shape=[1])
        try:
            yield
        finally:
            self.classes_dim = every

    def op(
        self,
        op_type: str,
        *inputs: Operand,
        role: str = "",
        shape: Sequence[Dim] | None = None,
        **attributes: AttributeValue,
    ) -> ir.Value:
        """Make a node with one output, or return the equal one that exists.

        Args:
            op_type: Operator of the default ONNX domain.
            inputs: Its inputs.
            role: Purpose of the result, used in its name; the operator's name by default.
            shape: Shape of the result, if known.
            attributes: The operator's attributes.
        """
        return self.ops(
            op_type, *inputs, count=1, role=role, dtype=None, shape=[shape], **attributes
        )[0]

    def ops(
        self,
        op_type: str,
        *inputs: Operand,
        count: int,
        role: str = "",
        dtype: Sequence[ir.DataType | None] | None = None,
        shape: Sequence[Sequence[Dim] | None] | None = None,
        **attributes: AttributeValue,
    ) -> tuple[ir.Value, ...]:
        """Make a node with ``count`` outputs; see `op`."""
        like = next((one for one in reversed(inputs) if isinstance(one, ir.Value)), None)
        values = [self._value_of(one, like) for one in inputs]
        frozen = tuple(
            (key, value if isinstance(value, (int, float, str, ir.Graph)) else tuple(value))
            for key, value in sorted(attributes.items())
        )
        key = (op_type, count, tuple(id(value) for value in values), frozen)
        if key in self._made:
            return self._made[key]
        name = self.unique(f"grad/{self._scope}/{role or op_type.lower()}")
        typed_by = values[_TYPED_BY.get(op_type, 0)] if values else None
        default = _KINDS.get(op_type) or (typed_by and typed_by.dtype)
        default = ir.DataType(attributes["to"]) if op_type == "Cast" else default
        outputs: list[ir.Value] = []
        for index in range(count):
            kind = (dtype[index] if dtype else None) or default
            known = shape[index] if shape else None
            outputs.append(
                ir.Value(
                    name=name if index == 0 else self.unique(f"{name}_{index}"),
                    type=None if kind is None else ir.TensorType(kind),
                    shape=None if known is None else ir.Shape(known),
                )
            )
        made = ir.convenience.convert_attributes(dict(attributes))
        self._place.append(ir.Node("", op_type, values, made, outputs=outputs, name=name))
        self._made[key] = tuple(outputs)
        return self._made[key]

    def _value_of(self, operand: Operand, like: ir.Value | None) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        if isinstance(operand, Sequence):
            return self.vector(operand)
        assert like is not None
        return self.scalar(operand, like)

    def scan(
        self, states: Values, slices: Values, step: Step, *, backwards: bool = False, role: str = ""
    ) -> tuple[Values, Values]:
        """Run ``step`` along axis 0 of ``slices``, carrying ``states``.

        Args:
            states: Initial states.
            slices: Tensors of one length; each step gets a slice of each.
            step: Makes new states and results with this emitter. It may use any value made
                before; the values that it makes are local to it.
            backwards: Start at the end of the axis.
            role: As in `op`.

        Returns:
            The last states, and the results stacked in the order of the slices.
        """
        formal = [
            ir.Value(name=self.unique(f"grad/{self._scope}/{role}_in"), type=value.type)
            for value in (*states, *slices)
        ]
        body = ir.Graph(formal, [], nodes=[], name=self.unique(f"grad/{self._scope}/{role}_body"))
        outer, self._place = self._place, body
        self._made = self._made.new_child()
        try:
            after, results = step(formal[: len(states)], formal[len(states) :])
            for value in (*after, *results):
                # A body's output must be made inside it, and may be listed only once.
                producer = value.producer()
                foreign = producer is None or producer.graph is not body
                again = foreign or value in body.outputs
                body.outputs.append(self.op("Identity", value) if again else value)
        finally:
            self._made, self._place = self._made.parents, outer
        direction = int(backwards)
        made = self.ops(
            "Scan", *states, *slices, count=len(body.outputs), role=role,
            dtype=[value.dtype for value in body.outputs], body=body, num_scan_inputs=len(slices),
            scan_input_directions=[direction] * len(slices),
            scan_output_directions=[direction] * len(results),
        )  # fmt: skip
        return made[: len(states)], made[len(states) :]

    def constant(self, array: npt.ArrayLike, dtype: ir.DataType | None = None) -> ir.Value:
        """Return an initializer; equal contents are stored once."""
        data = np.asarray(array, dtype=None if dtype is None else dtype.numpy())
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._constants:
            name = self.unique(f"grad/const/{len(self._constants)}")
            tensor = ir.tensor(data, name=name)
            kind, shape = ir.TensorType(tensor.dtype), ir.Shape(data.shape)
            value = ir.Value(name=name, type=kind, shape=shape, const_value=tensor)
            self.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def ints(self, values: Sequence[int]) -> ir.Value:
        """Return an int64 vector constant."""
        return self.constant(np.asarray(values, np.int64))

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """Return a constant of rank 0 with the type of ``like``."""
        return self.constant(number, like.dtype)

    def cast(self, value: ir.Value, dtype: ir.DataType | None, role: str = "") -> ir.Value:
        """Cast ``value`` to ``dtype``, unless it has that type already or none is known."""
        if dtype is None or value.dtype is dtype:
            return value
        shape = None if value.shape is None else dims_of(value)
        return self.op("Cast", value, role=role, shape=shape, to=int(dtype))

    def extents(self, value: ir.Value, axes: Sequence[int] | None = None) -> ir.Value:
        """Return the extents of ``value`` along ``axes`` (all by default) as an int64 vector.

        Static extents are constants; only the others are read at run time.
        """
        return self.vector(parts_of(value, axes))

    def vector(self, parts: Sequence[Extent]) -> ir.Value:
        """Join extents to one int64 vector."""
        pieces: list[ir.Value] = []
        run: list[int] = []
        for part in parts:
            if isinstance(part, int):
                run.append(part)
                continue
            if run:
                pieces.append(self.ints(run))
                run = []
            pieces.append(self._extent(*part) if isinstance(part, tuple) else part)
        if run or not pieces:
            pieces.append(self.ints(run))
        if len(pieces) == 1:
            return pieces[0]
        return self.op("Concat", *pieces, role="shape", axis=0)

    def _extent(self, value: ir.Value, axis: int) -> ir.Value:
        symbol = dims_of(value)[axis]
        if isinstance(symbol, str):
            value, axis = self._symbols.get(symbol, (value, axis))
        return self.op("Shape", value, role="extent", shape=[1], start=axis, end=axis + 1)

    def sweep(self) -> None:
        """Remove the nodes and constants that were made and are not used."""
        made = {node for values in self._made.values() if (node := values[0].producer())}
        for node in reversed(list(self.graph)):
            if node in made and not any(v.consumers() or v.is_graph_output() for v in node.outputs):
                self.graph.remove(node, safe=True)
        for value in self._constants.values():
            if not value.consumers():
                self.graph.initializers.pop(value.name or "", None)
