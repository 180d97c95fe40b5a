"""`Moves` tells which values of a graph are merely pooled or moved from others.

Every value is looked at once, in the order of the nodes: a few nodes that add up a value with
itself have more paths than can be walked.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.emitter import constant_of
from .score import before_quantiser

# Operators that only move, thin out or pass on what an earlier node computed.
PASSIVE = frozenset(
    {
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"),
        *("Identity", "Dropout", "Cast", "Reshape", "Transpose", "Flatten", "Squeeze"),
        *("Unsqueeze", "Pad", "Slice", "Expand", "Resize", "Upsample", "Gather", "GatherND"),
        *("Split", "DepthToSpace", "SpaceToDepth"),
    }
)
_NO_FEATURES = (ir.DataType.BOOL, ir.DataType.INT64, ir.DataType.INT32)
# Operators that put parts together: of one map, nothing new is computed.
_JOINS = frozenset({"Add", "Sum", "Mean", "Concat", "Where", "Mul", "Div"})


class Moves:
    """What a graph's nodes merely move.

    Args:
        graph: Its nodes are in the order of computation.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._origins: dict[ir.Value, ir.Value] = {}
        self._passive: dict[ir.Node, str] = {}
        for node in graph:
            joined = self._joined(node)
            self._passive[node] = self._word(node, joined)
            before = joined
            if node.op_type in PASSIVE:
                before = node.inputs[0] if node.inputs else None
            for value in node.outputs:
                self._origins[value] = value if before is None else self._origin(before)

    def passive(self, node: ir.Node) -> str:
        """The operator, if it merely pools or moves what an earlier node computed; else nothing."""
        return self._passive[node]

    def _origin(self, value: ir.Value) -> ir.Value:
        """What ``value`` is merely pooled or moved from; itself if it is computed."""
        return self._origins.get(value, value)

    def _word(self, node: ir.Node, joined: ir.Value | None) -> str:
        if node.op_type == "DequantizeLinear":
            value = before_quantiser(node.outputs[0])
            before = None if value is node.outputs[0] else value.producer()
            return "" if before is not None and not self._passive.get(before, "") else node.op_type
        return node.op_type if node.op_type in PASSIVE or joined is not None else ""

    def _joined(self, node: ir.Node) -> ir.Value | None:
        """The one value whose pooled or moved parts a node joins; None where it does more.

        Adaptive pools come as slices of one map that are added up; so does what is cut and put
        together again.
        """
        if node.op_type not in _JOINS:
            return None
        found: ir.Value | None = None
        for value in node.inputs:
            constant = constant_of(value)
            if value is None or value.dtype in _NO_FEATURES:
                continue
            if constant is not None and (constant.size == 1 or node.op_type == "Where"):
                continue
            origin = self._origin(value)
            if origin is value or found not in (None, origin):
                return None
            found = origin
        return found
