"""Which values of an ONNX graph could be explained, and which one is taken if none is named."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..errors import LayerError
from ..graph.attributes import constant_ints
from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.queries import ancestors
from .candidate import Candidate
from .layout import Arrangement, arrange

# Operators that only move, thin out or pass on what an earlier node computed.
_PASSIVE = frozenset(
    {
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"),
        *("Identity", "Dropout", "Cast", "Reshape", "Transpose", "Flatten", "Squeeze"),
        *("Unsqueeze", "Pad", "Slice", "Expand", "Resize", "Upsample"),
    }
)
# Operators whose result stands on a grid that a picture can have.
_SPATIAL = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize"})
# Operators that work on every token by itself.
_BY_TOKEN = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Sigmoid", "Relu", "Gelu", "Cast"}
    | {"LayerNormalization", "Identity", "Dropout", "MatMul", "ReduceMean"}
)


def graph_candidates(graph: ir.Graph, score: ir.Value) -> list[Candidate]:
    """List values that could be explained, the automatic choice first.

    That is the last value with spatial extent that leads to the score and was not merely pooled,
    moved or reshaped. Of token layers only the trunk qualifies: sums of branches and what is
    normalised.
    """
    leading, maps = ancestors(score), _class_maps(score)
    grids = [
        tuple(dims_of(node.outputs[0])[2:]) for node in graph
        if node.op_type in _SPATIAL and node.outputs[0].shape is not None
    ]  # fmt: skip
    found: list[Candidate] = []
    for node in reversed(list(graph)):
        value = node.outputs[0] if node.outputs else None
        if value is None or value.name is None or value.shape is None or value is score:
            continue
        if value.dtype is None or not value.dtype.is_floating_point() or len(value.shape) < 3:
            continue
        fault = unfit(graph, node, value, leading, grids)
        if value in maps:
            fault = "a map for each class: the scores themselves"
        reason = fault or "spatial extent, and it leads to the score"
        dims = tuple(dims_of(value))
        found.append(Candidate(value.name, node.op_type, dims, fault is None, reason))
    return sorted(found, key=lambda candidate: not candidate.usable)


def _class_maps(score: ir.Value) -> set[ir.Value]:
    """Values that scores with positions are merely moved, resized or added up from."""
    maps: set[ir.Value] = set()
    stack = [score] if len(dims_of(score)) > 2 else []
    while stack:
        value = stack.pop()
        maps.add(value)
        producer = value.producer()
        if producer is not None and producer.op_type in _PASSIVE | {"Add"}:
            stack += [before for before in producer.inputs if before is not None]
    return maps


def unfit(
    graph: ir.Graph,
    node: ir.Node,
    value: ir.Value,
    leading: set[ir.Value],
    grids: Sequence[tuple[Dim, ...]] = (),
) -> str | None:
    """Why a node's output is not worth explaining, or None.

    Args:
        graph: The model.
        node: The node.
        value: Its output.
        leading: What the score depends on.
        grids: Extents that a map may have; any by default.
    """
    if value not in leading:
        return "not connected to the score"
    if node.op_type in _PASSIVE:
        return f"{node.op_type} computes no features of its own"
    if node.op_type == "DequantizeLinear" and (reason := _dequantised_unfit(node)):
        return reason
    try:
        found = arrange(value.name or "", value, graph)
    except LayerError as error:
        return str(error).partition(": ")[2] or str(error)
    if all(extent == 1 for extent in found.grid):
        return "no spatial extent left"
    if found.layout == "tokens":
        return _token_unfit(node, value, found)
    if len(found.grid) == 2 and grids and found.grid not in grids:
        return "its extents are those of no convolution, pool or resize"
    return None


def _dequantised_unfit(node: ir.Node) -> str | None:
    code, source = node.inputs[0], _quantised_by(node)
    if code is None or len(list(code.uses())) > 1:
        return "other nodes read the same codes, past it"
    if source is None or source.op_type in _PASSIVE:
        return "it dequantises no features"
    return None


def _quantised_by(dequantiser: ir.Node) -> ir.Node | None:
    """The node whose result is quantised and read back by ``dequantiser``."""
    code = dequantiser.inputs[0]
    quantiser = None if code is None else code.producer()
    if quantiser is None or quantiser.op_type != "QuantizeLinear":
        return None
    value = quantiser.inputs[0]
    return None if value is None else value.producer()


def _token_unfit(node: ir.Node, value: ir.Value, found: Arrangement) -> str | None:
    sums = node.op_type == "Add" and all(constant_of(v) is None for v in node.inputs)
    if not sums and node.op_type != "LayerNormalization":
        return "inside a block of a transformer"
    if found.prefix and _only_prefix_read(value, found.prefix):
        return "the score's gradient is zero at every place"
    return None


def _only_prefix_read(value: ir.Value, prefix: int) -> bool:
    """Whether all that follows ``value`` ends in a selection of tokens before the grid."""
    pending, seen = [value], {value}
    while pending:
        for use in pending.pop().uses():
            node = use.node
            if node.op_type == "Shape" or _selects_prefix(node, prefix):
                continue
            if node.op_type not in _BY_TOKEN or not _keeps_tokens(node):
                return False
            fresh = [out for out in node.outputs if out not in seen]
            seen.update(fresh)
            pending.extend(fresh)
    return True


def _selects_prefix(node: ir.Node, prefix: int) -> bool:
    """Whether a Gather or Slice along axis 1 takes nothing behind the first ``prefix`` tokens."""
    if node.op_type == "Gather" and "axis" in node.attributes:
        places = constant_ints(node.inputs[1])
        along = node.attributes["axis"].as_int() == 1
        return along and places is not None and all(0 <= place < prefix for place in places)
    if node.op_type == "Slice" and len(node.inputs) > 3:
        ends, axes = constant_ints(node.inputs[2]), constant_ints(node.inputs[3])
        taken = dict(zip(axes or [], ends or [], strict=False))
        return 0 <= taken.get(1, -1) <= prefix
    return False


def _keeps_tokens(node: ir.Node) -> bool:
    """Whether a node of `_BY_TOKEN` mixes no tokens: weights are constant, means over channels."""
    if node.op_type == "MatMul":
        return constant_of(node.inputs[1]) is not None
    if node.op_type == "ReduceMean":
        return len(node.inputs) > 1 and constant_ints(node.inputs[1]) in ([-1], [2])
    return True
