"""Reverse-mode differentiation of an ONNX graph, from class scores back to the target layers.

Only active values get a cotangent: those that descend from a target and lead to the score. The
rules in `vjp` give one cotangent an input; summing over broadcast axes, adding up and
checking happen here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from .adjoint import Adjoint, OneHot, Result, accumulate, dense, unbroadcast
from .emitter import Emitter
from .errors import LayerError, UnsupportedError
from .vjp import Entry, lookup

_FLOATS = {
    ir.DataType.FLOAT,
    ir.DataType.FLOAT16,
    ir.DataType.BFLOAT16,
    ir.DataType.DOUBLE,
}


@dataclass(frozen=True)
class Plan:
    """What has to be differentiated.

    Attributes:
        score: The class scores, [N, classes].
        targets: The layers' values.
        nodes: Active nodes, in the order of the graph.
        active: Active values.
    """

    score: ir.Value
    targets: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    active: frozenset[ir.Value]


def module_path(node: ir.Node) -> str:
    """Module path recorded by PyTorch's exporter, or an empty string."""
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
    names = [name.strip(" '\"") for name in scopes.strip("[]").split(",")]
    return names[-2] if len(names) > 1 else ""


def plan(graph: ir.Graph, score: ir.Value, targets: Sequence[ir.Value]) -> Plan:
    """Find the active part of ``graph`` and make sure that all of it has rules.

    Raises:
        LayerError: A target does not lead to the score.
        UnsupportedError: Active operators without a rule, all of them at once.
    """
    leading = ancestors(score)
    for target in targets:
        if target is not score and target not in leading:
            raise LayerError(
                f"layer value {target.name!r} is not connected to the score {score.name!r}; "
                "choose one from `graftcam layers`"
            )
    active: set[ir.Value] = set(targets)
    nodes: list[ir.Node] = []
    obstacles: list[str] = []
    for node in graph:
        outputs = [value for value in node.outputs if value in leading]
        if not outputs or not any(value in active for value in _inputs(node)):
            continue
        entry = lookup(node)
        if entry is not None:
            outputs = [value for value in outputs if _carries(value)]
            if entry.rule is None or not outputs:
                continue
        obstacle = _obstacle(graph, node, entry, outputs, active)
        if obstacle:
            obstacles.append(obstacle)
        active.update(outputs)
        nodes.append(node)
    if obstacles:
        raise UnsupportedError(obstacles)
    if score not in active:
        raise LayerError(
            f"the gradient of the score {score.name!r} is structurally zero at "
            f"{', '.join(repr(t.name) for t in targets)}; choose another layer"
        )
    return Plan(score, tuple(targets), tuple(nodes), frozenset(active))


def differentiate(emit: Emitter, plan: Plan, seed: Adjoint | OneHot) -> dict[ir.Value, Adjoint]:
    """Walk back from the score and return the cotangent of each target.

    Args:
        emit: Where nodes are added.
        plan: From `plan`.
        seed: Cotangent of the score, with K on its leading axis.
    """
    pending: dict[ir.Value, list[Adjoint | OneHot]] = {plan.score: [seed]}
    for node in reversed(plan.nodes):
        grads = [_total(emit, pending.get(value, []), value) for value in node.outputs]
        if all(grad is None for grad in grads):
            continue
        for value, grad in zip(node.outputs, grads, strict=True):
            if grad is not None:
                pending[value] = [grad]
        needed = [value is not None and value in plan.active for value in node.inputs]
        with emit.scope(node.name or node.op_type):
            results = _apply(emit, node, grads, needed)
            for value, result in zip(node.inputs, results, strict=True):
                if value is not None and value in plan.active and result is not None:
                    pending.setdefault(value, []).append(result)
    found: dict[ir.Value, Adjoint] = {}
    for target in plan.targets:
        total = _total(emit, pending.get(target, []), target)
        if total is None:
            raise LayerError(
                f"the gradient of the score is structurally zero at {target.name!r}; "
                "choose another layer"
            )
        found[target] = Adjoint(dense(emit, total, target)) if isinstance(total, OneHot) else total
    return found


def _total(
    emit: Emitter, adjoints: Sequence[Adjoint | OneHot], value: ir.Value
) -> Adjoint | OneHot | None:
    if len(adjoints) <= 1:
        return adjoints[0] if adjoints else None
    return accumulate(
        emit,
        [Adjoint(dense(emit, a, value)) if isinstance(a, OneHot) else a for a in adjoints],
    )


def _apply(
    emit: Emitter, node: ir.Node, grads: Sequence[Adjoint | OneHot | None], needed: Sequence[bool]
) -> list[Adjoint | None]:
    """Call the node's rule in the form that it wants; results come in the inputs' shapes."""
    entry = lookup(node)
    assert entry is not None
    assert entry.rule is not None
    factor = 1.0
    if entry.many:
        values = [
            None if grad is None else dense(emit, grad, value)
            for value, grad in zip(node.outputs, grads, strict=True)
        ]
        results = entry.rule(emit, node, values, needed)  # pyright: ignore[reportArgumentType]
    else:
        grad, out = grads[0], node.outputs[0]
        results = None
        if isinstance(grad, OneHot):
            if entry.selection is not None:
                results = entry.selection(emit, node, grad, needed)
            grad = Adjoint(dense(emit, grad, out)) if results is None else None
        if results is None:
            assert grad is not None
            # Every rule is linear in the cotangent: the factor goes around it.
            factor, grad = grad.factor, Adjoint(grad.value, 1.0, grad.spread)
            if not entry.lazy:
                grad = Adjoint(dense(emit, grad, out))
            results = entry.rule(emit, node, grad, needed)  # pyright: ignore[reportArgumentType]
    padded = [*results, *[None] * (len(node.inputs) - len(results))]
    return [
        _fit(emit, node, entry, value, result, factor) if wanted else None
        for value, result, wanted in zip(node.inputs, padded, needed, strict=True)
    ]


def _fit(
    emit: Emitter,
    node: ir.Node,
    entry: Entry,
    source: ir.Value | None,
    result: Result,
    factor: float,
) -> Adjoint | None:
    if source is None or result is None:
        return None
    adjoint = result if isinstance(result, Adjoint) else Adjoint(result)
    adjoint = Adjoint(adjoint.value, adjoint.factor * factor, adjoint.spread)
    if entry.broadcasts:
        adjoint = unbroadcast(emit, adjoint, node.outputs[0], source)
    return adjoint


def ancestors(score: ir.Value) -> set[ir.Value]:
    """``score`` and every value that it depends on."""
    seen = {score}
    stack = [score]
    while stack:
        producer = stack.pop().producer()
        if producer is not None:
            fresh = [value for value in _inputs(producer) if value not in seen]
            seen.update(fresh)
            stack.extend(fresh)
    return seen


def _inputs(node: ir.Node) -> Iterator[ir.Value]:
    """Inputs of a node, those that its subgraphs take from outside included."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from _captured([attribute.as_graph()])
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from _captured(attribute.as_graphs())


def _captured(graphs: Iterable[ir.Graph]) -> Iterator[ir.Value]:
    for graph in graphs:
        own = set(graph.inputs) | {v for inner in graph for v in inner.outputs}
        own |= set(graph.initializers.values())
        for inner in graph:
            yield from (value for value in _inputs(inner) if value not in own)
        yield from (value for value in graph.outputs if value not in own)


def _carries(value: ir.Value) -> bool:
    """Whether a value can carry a derivative: integers and booleans cannot."""
    return value.dtype is None or value.dtype in _FLOATS


def _obstacle(
    graph: ir.Graph,
    node: ir.Node,
    entry: Entry | None,
    outputs: Sequence[ir.Value],
    active: set[ir.Value],
) -> str | None:
    """Why an active node cannot be differentiated, with its name and place, or None."""
    path = module_path(node)
    operator = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    where = f"{operator} {node.name!r}" + (f" ({path})" if path else "")
    if entry is None:
        return f"{where}: no gradient rule"
    opset = graph.opset_imports.get("", entry.since)
    if opset < entry.since:
        return f"{where}: opset {opset} defines it otherwise; export with opset {entry.since}"
    for index, value in enumerate(node.inputs):
        if value in active and not entry.differentiable(index):
            return f"{where}: the gradient of its input {value.name!r} has no rule"
    inputs = [value for i, value in enumerate(node.inputs) if entry.differentiable(i)]
    for value in (*outputs, *inputs):
        if value is not None and value.shape is None:
            return f"{where}: the rank of {value.name!r} is unknown; run ONNX shape inference"
    if not entry.many and any(v is not node.outputs[0] for v in outputs):
        return f"{where}: the gradient of its output {outputs[0].name!r} has no rule"
    reason = entry.check(node) if entry.check else None
    return f"{where}: {reason}" if reason else None
