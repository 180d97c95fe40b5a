"""This module lists the layers of an ONNX graph: what it shows of each value, for `layer_rules`."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.attributes import constant_ints
from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.queries import ancestors
from .candidate import Candidate
from .instances import bags_of
from .layer_rules import LayerFacts, Surroundings, judge_layer, ranked
from .layout import Lineage, lineages, read_layout
from .score import before_quantiser

# Operators that only move, thin out or pass on what an earlier node computed.
_PASSIVE = frozenset(
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
# Operators whose result has the grid of an image.
_SPATIAL = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize"})
# Operators that work on every token by itself.
_BY_TOKEN = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Sigmoid", "Relu", "Gelu", "Cast"}
    | {"LayerNormalization", "Identity", "Dropout", "MatMul", "ReduceMean"}
)


def graph_candidates(graph: ir.Graph, score: ir.Value) -> list[Candidate]:
    """List values that could be explained, the automatic choice first; see `layer_rules.ranked`."""
    leading, maps, before = ancestors(score), _class_maps(score), lineages(graph)
    found = [
        _facts(node, value, before[value], leading, maps)
        for node in graph
        for value in node.outputs
        if _is_float_map(value) and value is not score
    ]
    grids = [
        tuple(dims_of(node.outputs[0])[2:]) for node in graph
        if node.op_type in _SPATIAL and node.outputs[0].shape is not None
    ]  # fmt: skip
    tokens = [one.shape for one in found if one.tokens and not one.branch]
    around = Surroundings.of(grids, tokens)
    return ranked([judge_layer(facts, around) for facts in found])


def is_explicable(graph: ir.Graph, value: ir.Value, leading: set[ir.Value]) -> bool:
    """Whether a map of a value makes sense: it has places, and features of its own.

    Args:
        graph: The model.
        value: Of the graph.
        leading: What the score depends on.
    """
    node = value.producer()
    if node is None or not _is_float_map(value):
        return False
    facts = _facts(node, value, lineages(graph)[value], leading, set())
    return judge_layer(facts, Surroundings()).usable


def _is_float_map(value: ir.Value) -> bool:
    """Whether an output of a node has a name, three axes or more, and a float type."""
    if not value.name or value.shape is None or len(value.shape) < 3:
        return False
    return value.dtype is not None and value.dtype.is_floating_point()


def _facts(
    node: ir.Node, value: ir.Value, lineage: Lineage, leading: set[ir.Value], maps: set[ir.Value]
) -> LayerFacts:
    """What the graph shows of a node's output."""
    layout = read_layout(value, lineage)
    found = layout.found
    prefix = 0 if found is None else found.prefix
    suffix = 0 if found is None else found.suffix
    sums = node.op_type == "Add" and all(constant_of(v) is None for v in node.inputs)
    codes = node.inputs[0].uses() if node.inputs and node.inputs[0] is not None else ()
    return LayerFacts(
        value.name or "",
        node.op_type,
        tuple(dims_of(value)),
        on_batch=layout.on_batch or bags_of(value) is not None,
        tokens=layout.tokens,
        grids=tuple(dict.fromkeys(one.grid for one in layout.options)),
        branch=not sums and node.op_type != "LayerNormalization",
        connected=value in leading,
        gradient=not (
            (prefix and _only_prefix_read(value, prefix))
            or (suffix and _only_suffix_read(value, suffix))
        ),
        class_map=value in maps,
        passive=_passive(node),
        # Whether it reads codes that others read as well.
        bypassed=node.op_type == "DequantizeLinear" and len(list(codes)) > 1,
    )


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


def _passive(node: ir.Node) -> str:
    """The operator, if it merely pools or moves what an earlier node computed; else nothing."""
    if node.op_type == "DequantizeLinear":
        value = before_quantiser(node.outputs[0])
        before = None if value is node.outputs[0] else value.producer()
        return "" if before is not None and not _passive(before) else node.op_type
    return node.op_type if node.op_type in _PASSIVE or _origin_of(node) is not None else ""


def _origin_of(node: ir.Node) -> ir.Value | None:
    """The one value whose pooled or moved parts a node joins; None where it does more than that.

    Adaptive pools come as slices of one map that are added up; so does what is cut and put together
    again.
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
        origin = _before_moves(value)
        if origin is value or found not in (None, origin):
            return None
        found = origin
    return found


def _before_moves(value: ir.Value) -> ir.Value:
    """What ``value`` is merely pooled or moved from; itself if it is computed."""
    while (node := value.producer()) is not None and node.inputs:
        before = node.inputs[0] if node.op_type in _PASSIVE else _origin_of(node)
        if before is None:
            break
        value = before
    return value


def _only_prefix_read(value: ir.Value, prefix: int) -> bool:
    """Whether all that follows ``value`` ends in a selection of tokens before the grid."""
    pending, seen = [(value, prefix)], {value}
    while pending:
        current, before = pending.pop()
        for use in current.uses():
            node = use.node
            if node.op_type == "Shape" or _selects_prefix(node, before):
                continue
            after = _prefix_after(node, current, before)
            if after is None:
                return False
            pending += [(out, after) for out in node.outputs if out not in seen]
            seen.update(node.outputs)
    return True


def _only_suffix_read(value: ir.Value, suffix: int) -> bool:
    """Whether all that reads a value takes the last ``suffix`` tokens of it, or fewer."""
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        for use in current.uses():
            node = use.node
            if node.op_type == "Shape" or _selects_suffix(node, dims_of(current)[1], suffix):
                continue
            if node.op_type not in _BY_TOKEN or not _keeps_tokens(node):
                return False
            pending += [out for out in node.outputs if out not in seen]
            seen.update(node.outputs)
    return True


def _selects_suffix(node: ir.Node, tokens: Dim, suffix: int) -> bool:
    """Whether a Slice along axis 1 takes nothing before the last ``suffix`` tokens."""
    if node.op_type != "Slice" or len(node.inputs) < 4 or not isinstance(tokens, int):
        return False
    starts, axes = constant_ints(node.inputs[1]), constant_ints(node.inputs[3])
    start = dict(zip(axes or [], starts or [], strict=False)).get(1, 0)
    return (start + tokens if start < 0 else start) >= tokens - suffix


def _prefix_after(node: ir.Node, value: ir.Value, prefix: int) -> int | None:
    """Tokens before the grid in the result of a node; None where it mixes tokens.

    Class attention (CaiT, XCiT) cuts the class token off and puts it back before the others.
    """
    if node.op_type == "Slice" and len(node.inputs) > 3:
        starts, axes = constant_ints(node.inputs[1]), constant_ints(node.inputs[3])
        start = starts[0] if starts and axes == [1] else -1
        return prefix - start if 0 <= start <= prefix else None
    if node.op_type == "Concat" and node.attributes["axis"].as_int() in (1, -2):
        before = [dims_of(one)[1] for one in node.inputs[: node.inputs.index(value)] if one]
        known = [extent for extent in before if isinstance(extent, int)]
        return prefix + sum(known) if len(known) == len(before) else None
    return prefix if node.op_type in _BY_TOKEN and _keeps_tokens(node) else None


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
