"""Boxes that a selection inside a model gathers: the table behind them, each slot's anchor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .....runtime.spec.detector import EDGES
from ....graph.emitter import Emitter, dims_of

GATHERS = frozenset({"Gather", "GatherElements", "GatherND"})
MOVES = frozenset(
    {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice"}
    | {"Split"}
)


@dataclass(frozen=True)
class SelectedBoxes:
    """Boxes behind a selection.

    Attributes:
        table: All boxes, before it.
        box_axis: Their axis there.
        path: The nodes from the table to the slots, the first one first.
    """

    table: ir.Value
    box_axis: int
    path: tuple[ir.Node, ...]


def selection_behind(value: ir.Value) -> SelectedBoxes | None:
    """The table behind gathered boxes; None if nothing was gathered."""
    path, found, node = list[ir.Node](), None, value.producer()
    while node is not None and node.op_type in GATHERS | MOVES and node.inputs[0] is not None:
        path.insert(0, node)
        before = node.inputs[0]
        if node.op_type in GATHERS and before.shape is not None and len(before.shape) == 3:
            axis = node.attributes.get_int("batch_dims", 0) if node.op_type == "GatherND" else (
                node.attributes.get_int("axis", 0) % 3
            )  # fmt: skip
            if axis in (1, 2) and dims_of(before)[3 - axis] == EDGES:
                found = SelectedBoxes(before, axis, tuple(path))
        node = before.producer()
    return found


def anchors_of(emit: Emitter, selected: SelectedBoxes) -> ir.Value:
    """int64 [N, slots], the anchor of each slot: the selection, repeated on their numbers."""
    table, axis = selected.table, selected.box_axis
    with emit.scope("anchors"):
        extent = emit.op("Shape", table, role="extent", shape=[1], start=axis, end=axis + 1)
        none = emit.constant(np.array(0, np.int64))
        one = emit.constant(np.array(1, np.int64))
        count = emit.op("Reshape", extent, emit.ints([]), role="count", shape=[])
        numbers = emit.op("Range", none, count, one, role="numbers")
        row = [1, -1, 1] if axis == 1 else [1, 1, -1]
        numbers = emit.op("Reshape", numbers, row, role="row")
        shape = emit.op("Shape", table, role="shape", shape=[3])
        copied = {table: emit.op("Expand", numbers, shape, role="all", shape=dims_of(table))}
        for node in selected.path:
            before, result = node.inputs[0], node.outputs[0]
            if before not in copied:
                continue
            if node.op_type in ("Identity", "Cast"):
                copied[result] = copied[before]
                continue
            copies = _copy(emit, node, copied[before])
            copied |= dict(zip(node.outputs, copies, strict=True))
        slots = copied[selected.path[-1].outputs[0]]
        first = emit.op("Gather", slots, none, role="first", axis=2)
        batch, places = dims_of(selected.path[-1].outputs[0])[:2]
        first.shape = ir.Shape([batch, places])
    return first


def _copy(emit: Emitter, node: ir.Node, value: ir.Value) -> list[ir.Value]:
    """A node that moves entries, on other entries."""
    copy = ir.node(
        node.op_type, [value, *node.inputs[1:]], dict(node.attributes),
        num_outputs=len(node.outputs), name=emit.unique(f"grad/anchors/{node.name}"),
    )  # fmt: skip
    for made, like in zip(copy.outputs, node.outputs, strict=True):
        made.name = emit.unique(f"grad/anchors/{like.name}")
        made.type, made.shape = ir.TensorType(ir.DataType.INT64), like.shape
    emit.graph.append(copy)
    return list(copy.outputs)
