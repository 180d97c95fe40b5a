"""This module evaluates the part of a graph behind a layer in float64, node by node."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...graph.ort_session import session_of
from ...graph.queries import ancestors, inputs_of
from ..verdict.deadline import NO_DEADLINE
from .differences import SelectionFlippedError
from .kernels import Kernels, wide
from .nodes import Float64Node

Array = npt.NDArray[Any]
_EXTENTS = ("Shape", "Size")
_SELECTS = ("TopK", "ArgMax", "ArgMin")


class Float64Head:
    """The score table as a function of the layer's value.

    Nodes that do not depend on the layer run once, in ONNX Runtime and the model's own precision;
    this holds too for the other outputs of the node that gives the layer.

    Args:
        model: The graph.
        target: The layer's value.
        score: The score table.
        feeds: The graph's inputs.
        folder: Folder of the model's external data.

    Attributes:
        seconds: Time of the last call.
        deadline: When a call must end.
    """

    def __init__(
        self, model: ir.Model, target: str, score: str, feeds: Mapping[str, Array], folder: Path
    ) -> None:
        self._target, self._score = target, score
        self.seconds, self.deadline = 0.0, NO_DEADLINE
        self._times = Counter[str]()
        self._selected = dict[str, Array]()  # indices at the point itself, by name
        nodes, beside = _part_behind(model.graph, target, score)
        self._beside = _values(model, beside, feeds, folder)
        varying = {target, *(value.name or "" for node in nodes for value in node.outputs)}
        kernels = Kernels(model.graph.opset_imports, model.ir_version, varying)
        self._nodes = [Float64Node(node, kernels, self._bounded) for node in nodes]
        # Where each value is read last: it is dropped there.
        self._last: dict[int, list[str]] = {}
        last = {value.name or "": i for i, node in enumerate(nodes) for value in inputs_of(node)}
        for name, place in last.items():
            if name in varying and name != score:
                self._last.setdefault(place, []).append(name)

    def _bounded(self, function: Any) -> Any:
        return self.deadline.bounded(function)

    def __call__(self, value: Array) -> Array:
        """The table where the layer has this value; the first call is at the point itself.

        Raises:
            OutOfTime: The deadline passed.
            SelectionFlippedError: Other parts are selected than at the point.
        """
        began = time.perf_counter()
        self._times.clear()
        values: dict[str, Any] = {**self._beside, self._target: wide(value)}
        for place, node in enumerate(self._nodes):
            self.deadline.check()
            since = time.perf_counter()
            values |= zip(node.outputs, node(values), strict=True)
            if node.op_type in _SELECTS:
                self._check_selection(node.outputs[-1], values[node.outputs[-1]])
            self._times[node.op_type] += time.perf_counter() - since  # pyright: ignore[reportArgumentType]
            for name in self._last.get(place, ()):
                del values[name]
        self.seconds = time.perf_counter() - began
        return np.asarray(values[self._score])

    def _check_selection(self, name: str, indices: Array) -> None:
        if not np.array_equal(self._selected.setdefault(name, indices), indices):
            raise SelectionFlippedError

    @property
    def in_python(self) -> set[str]:
        """The operators that the reference evaluator runs."""
        return {node.op_type for node in self._nodes if node.by_reference}

    @property
    def in_float32(self) -> list[str]:
        """Why operators are evaluated in float32, one sentence each."""
        return sorted({node.in_float32 for node in self._nodes if node.in_float32})

    @property
    def slowest(self) -> str:
        """The operator that took most of the last call."""
        return max(self._times, key=self._times.__getitem__, default="")


def _part_behind(graph: ir.Graph, target: str, score: str) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes from ``target`` to ``score``, and the values that they read beside it.

    Extents are such values too: they stay when the layer's value moves.
    """
    values = ir.convenience.create_value_mapping(graph, include_subgraphs=False)
    needed, varying = ancestors(values[score]), {values[target]}
    nodes: list[ir.Node] = []
    beside: dict[ir.Value, None] = {}
    for node in graph:
        outputs = [value for value in node.outputs if value in needed]
        read = list(inputs_of(node))
        if outputs and varying.intersection(read) and node.op_type not in _EXTENTS:
            nodes.append(node)
            varying.update(node.outputs)
    for node in nodes:
        beside.update((value, None) for value in inputs_of(node) if value not in varying)
    return nodes, [*beside]


def _values(
    model: ir.Model, wanted: Sequence[ir.Value], feeds: Mapping[str, Array], folder: Path
) -> dict[str, Array]:
    """Values by name, floats as float64: constants, inputs, and what ONNX Runtime computes."""
    found: dict[str, Array] = {}
    computed: list[str] = []
    for value in wanted:
        name = value.name or ""
        if name in feeds:
            found[name] = feeds[name]
        elif value.const_value is not None:
            found[name] = value.const_value.numpy()
        else:
            computed.append(name)
    found |= run_part(model, computed, feeds, folder)
    return {name: wide(array) for name, array in found.items()}


def run_part(
    model: ir.Model, names: Sequence[str], feeds: Mapping[str, Array], folder: Path
) -> dict[str, Array]:
    """Values of ``model``, whose weights lie in ``folder``, by ONNX Runtime."""
    if not names:
        return {}
    inputs = [value for value in model.graph.inputs if value.name in feeds]
    graph = ir.convenience.extract(model.graph, inputs, list(names))
    session = session_of(ir.Model(graph, ir_version=model.ir_version), folder)
    fed = {value.name: feeds[value.name or ""] for value in graph.inputs}
    return dict(zip(names, session.run(None, fed), strict=True))
