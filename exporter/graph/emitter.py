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
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def op(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        role: str = "",
        dtype: ir.DataType | None = None,
        shape: Sequence[Dim] | None = None,
        **attributes: AttributeValue,
    ) -> ir.Value:
        """Make a node with one output, or return the equal one that exists.

        Args:
            op_type: Operator of the default ONNX domain.
            inputs: Its inputs; None for an omitted optional one.
            role: Purpose of the result, used in its name; the operator's name by default.
            dtype: Type of the result; that of the first input by default.
            shape: Shape of the result, if known.
            attributes: The operator's attributes.
        """
        return self.ops(
            op_type, *inputs, count=1, role=role, dtype=[dtype], shape=[shape], **attributes
        )[0]

    def ops(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        count: int,
        role: str = "",
        dtype: Sequence[ir.DataType | None] | None = None,
        shape: Sequence[Sequence[Dim] | None] | None = None,
        **attributes: AttributeValue,
    ) -> tuple[ir.Value, ...]:
        """Make a node with ``count`` outputs; see `op`."""
        frozen = tuple(
            (key, value if isinstance(value, (int, float, str, ir.Graph)) else tuple(value))
            for key, value in sorted(attributes.items())
        )
        key = (op_type, count, tuple(id(value) for value in inputs), frozen)
        if key in self._made:
            return self._made[key]
        name = self.unique(f"grad/{self._scope}/{role or op_type.lower()}")
        first = next((value.dtype for value in inputs if value is not None), None)
        values: list[ir.Value] = []
        for index in range(count):
            kind = (dtype[index] if dtype else None) or first
            known = shape[index] if shape else None
            values.append(
                ir.Value(
                    name=name if index == 0 else self.unique(f"{name}_{index}"),
                    type=None if kind is None else ir.TensorType(kind),
                    shape=None if known is None else ir.Shape(known),
                )
            )
        node = ir.Node(
            "",
            op_type,
            inputs,
            ir.convenience.convert_attributes(dict(attributes)),
            outputs=values,
            name=name,
        )
        self._place.append(node)
        self._made[key] = tuple(values)
        return self._made[key]

    def scan(
        self,
        states: Values,
        slices: Values,
        step: Step,
        *,
        backwards: bool = False,
        role: str = "",
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
            value = ir.Value(
                name=name,
                type=ir.TensorType(tensor.dtype),
                shape=ir.Shape(data.shape),
                const_value=tensor,
            )
            self.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def ints(self, values: Sequence[int]) -> ir.Value:
        """Return an int64 vector constant."""
        return self.constant(np.asarray(values, np.int64))

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """Return a constant of rank 0 with the type of ``like``."""
        return self.constant(number, like.dtype)

    def cast(self, value: ir.Value, dtype: ir.DataType, role: str = "") -> ir.Value:
        """Cast ``value`` to ``dtype``, unless it has that type already."""
        if value.dtype is dtype:
            return value
        shape = None if value.shape is None else dims_of(value)
        return self.op("Cast", value, role=role, dtype=dtype, shape=shape, to=int(dtype))

    def extents(self, value: ir.Value, axes: Sequence[int] | None = None) -> ir.Value:
        """Return the extents of ``value`` along ``axes`` (all by default) as an int64 vector.

        Static extents are constants; only the others are read at run time.
        """
        dims = dims_of(value)
        wanted = range(len(dims)) if axes is None else axes
        return self.vector(
            [dims[axis] if isinstance(dims[axis], int) else (value, axis) for axis in wanted]
        )

    def vector(self, parts: Sequence[int | Dim | tuple[ir.Value, int] | ir.Value]) -> ir.Value:
        """Join integers, ``(value, axis)`` extents and int64 vectors to one int64 vector."""
        pieces: list[ir.Value] = []
        run: list[int] = []
        for part in parts:
            if isinstance(part, int):
                run.append(part)
                continue
            if run:
                pieces.append(self.ints(run))
                run = []
            if isinstance(part, tuple):
                value, axis = part
                symbol = dims_of(value)[axis]
                if isinstance(symbol, str):
                    value, axis = self._symbols.get(symbol, part)
                part = self.op(
                    "Shape",
                    value,
                    role="extent",
                    dtype=ir.DataType.INT64,
                    shape=[1],
                    start=axis,
                    end=axis + 1,
                )
            assert isinstance(part, ir.Value)
            pieces.append(part)
        if run or not pieces:
            pieces.append(self.ints(run))
        if len(pieces) == 1:
            return pieces[0]
        return self.op("Concat", *pieces, role="shape", dtype=ir.DataType.INT64, axis=0)

    def sweep(self) -> None:
        """Remove the nodes and constants that were made and are not used."""
        made = {node for values in self._made.values() if (node := values[0].producer())}
        for node in reversed(list(self.graph)):
            if node in made and not any(v.consumers() or v.is_graph_output() for v in node.outputs):
                self.graph.remove(node, safe=True)
        for value in self._constants.values():
            if not value.consumers():
                self.graph.initializers.pop(value.name or "", None)
