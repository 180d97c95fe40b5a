"""`plan` finds the part of a graph to differentiate, and checks that all of it has rules.

Only active values get a cotangent: those that descend from a target and lead to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..errors import IntegerError, LayerError, UnsupportedError
from ..graph.emitter import dims_of
from ..graph.integer_arithmetic import describe
from ..graph.queries import ancestors, inputs_of, module_path
from ..locate.layer import find_layer
from ..locate.onnx_candidates import is_explicable
from .rules import Entry, is_code, lookup
from .unsupported import unsupported_reason

_FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
_MOST_TRIED = 100  # layers after the last obstacle; each takes a walk of the graph


@dataclass(frozen=True)
class Plan:
    """The part of a graph that is differentiated.

    Attributes:
        score: The class scores, [N, classes].
        targets: The layers' values.
        nodes: Active nodes, in the order of the graph.
        active: Active values.
        junctions: Nodes behind which most cotangents are zero for most scores, such as the Concat
            of a detector's levels: only the scores that reach an input are followed from there.
    """

    score: ir.Value
    targets: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    active: frozenset[ir.Value]
    junctions: frozenset[ir.Node] = frozenset()


def plan(graph: ir.Graph, score: ir.Value, targets: Sequence[ir.Value]) -> Plan:
    """Find the active part of ``graph`` and make sure that all of it has rules.

    Raises:
        LayerError: A target does not lead to the score.
        UnsupportedError: Active operators without a rule, all of them at once; an `IntegerError` if
            there are some that compute with integers.
    """
    leading = ancestors(score)
    for target in targets:
        if target is not score and target not in leading:
            raise LayerError(
                f"layer value {target.name!r} is not connected to the score {score.name!r}; "
                "choose one from `graftcam layers`"
            )
    made, obstacles = _examine(graph, score, targets, leading)
    if obstacles:
        later = _later_layer(graph, made, list(obstacles)[-1], leading)
        integers = describe(obstacles, " between the layer and the score")
        if integers is not None:
            raise IntegerError(integers, list(obstacles.values()), later)
        raise UnsupportedError(list(obstacles.values()), later)
    if score not in made.active:
        raise LayerError(
            f"the gradient of the score {score.name!r} is structurally zero at "
            f"{', '.join(repr(t.name) for t in targets)}; choose another layer"
        )
    return made


def with_junctions(made: Plan) -> Plan:
    """Mark where the ways of a detector's levels, and of its scores and edges, come together.

    These are the Concats between the last layers and the score whose parts differ in size. Between
    them and the score nothing mixes the boxes, as the attention of a decoder does: behind that,
    every score reaches every part.
    """
    before = set[ir.Value]().union(*(ancestors(target) for target in made.targets))
    mixed, found = set[ir.Value](), list[ir.Node]()
    for node in reversed(made.nodes):
        if _mixes(node, made) or not mixed.isdisjoint(node.outputs):
            mixed.update(inputs_of(node))
        elif node.op_type == "Concat" and node.outputs[0] not in before:
            found += [node] if _is_junction(node, made) else []
    return replace(made, junctions=frozenset(found))


def _mixes(node: ir.Node, made: Plan) -> bool:
    """Whether a number of the output may depend on those of several places."""
    if node.op_type in ("MatMul", "Gemm", "Einsum"):
        return sum(value in made.active for value in inputs_of(node)) > 1
    if node.op_type == "Conv":  # the expected value of a distribution is one with a single filter
        weight = node.inputs[1]
        return weight is None or weight.shape is None or dims_of(weight)[0] != 1
    return node.op_type in ("GridSample", "ConvTranspose", "Attention")


def _is_junction(node: ir.Node, made: Plan) -> bool:
    parts = [value for value in node.inputs if value is not None and value in made.active]
    axis = node.attributes["axis"].as_int()
    extents = [None if part.shape is None else dims_of(part)[axis] for part in parts]
    return len(parts) > 1 and (len({*extents}) > 1 or None in extents)


def _examine(
    graph: ir.Graph, score: ir.Value, targets: Sequence[ir.Value], leading: set[ir.Value]
) -> tuple[Plan, dict[ir.Node, str]]:
    """The active part of ``graph``, and the nodes of it that have no rule, with the reason."""
    active: set[ir.Value] = set(targets)
    nodes: list[ir.Node] = []
    obstacles: dict[ir.Node, str] = {}
    for node in graph:
        outputs = [value for value in node.outputs if value in leading]
        if not outputs or not any(value in active for value in inputs_of(node)):
            continue
        entry = lookup(node)
        if entry is not None:
            outputs = [value for value in outputs if _carries(value, entry)]
            codes = any(value in active and is_code(value) for value in inputs_of(node))
            if entry.state == "zero" or not (outputs or codes):
                continue
        reason = unsupported_reason(graph, node, entry, outputs, active)
        if reason:
            obstacles[node] = reason
        active.update(outputs)
        nodes.append(node)
    return Plan(score, tuple(targets), tuple(nodes), frozenset(active)), obstacles


def _later_layer(graph: ir.Graph, made: Plan, last: ir.Node, leading: set[ir.Value]) -> str | None:
    """The first layer after the last obstacle that can be explained, by the name to give."""
    scoped = any(module_path(node) for node in graph)
    tried: set[str] = {""}
    for node in made.nodes[made.nodes.index(last) + 1 :]:
        name = module_path(node) if scoped else node.outputs[0].name or ""
        if name in tried:
            continue
        if len(tried) > _MOST_TRIED:
            return None
        tried.add(name)
        value = find_layer(graph, name)
        if is_explicable(graph, value, leading):
            rest, obstacles = _examine(graph, made.score, [value], leading)
            if made.score in rest.active and not obstacles:
                return name
    return None


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype in _FLOATS


def _carries(value: ir.Value, entry: Entry) -> bool:
    """Whether the output of an operator can carry a derivative.

    Integers and booleans cannot, except codes that represent numbers (the indices of a MaxPool do
    not).
    """
    if _is_float(value) or (entry.quantised and entry.state == "refused"):
        return True
    return is_code(value) and (entry.many or value.index() == 0)
