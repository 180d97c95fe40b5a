"""Reverse-mode differentiation of an ONNX graph, from class scores back to the target layers.

Only active values get a cotangent: those that descend from a target and lead to the score. The
rules in `vjp` give one cotangent an input; summing over broadcast axes, adding up and
checking happen here, once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import onnx_ir as ir

from ..errors import LayerError, UnsupportedError
from ..graph.emitter import Emitter
from ..graph.queries import ancestors, inputs_of, module_path
from ..locate.layer import find_layer
from ..locate.onnx_candidates import is_explicable
from .adjoint import Adjoint, OneHot, Result, accumulate, dense, scaled
from .fused_rules import Shortcut, shortcuts
from .rules import Entry, is_code, lookup
from .unbroadcast import partners_of, unbroadcast
from .unsupported import obstacle

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
    made, obstacles = _examine(graph, score, targets, leading)
    if obstacles:
        later = _later_layer(graph, made, list(obstacles)[-1], leading)
        raise UnsupportedError(list(obstacles.values()), later)
    if score not in made.active:
        raise LayerError(
            f"the gradient of the score {score.name!r} is structurally zero at "
            f"{', '.join(repr(t.name) for t in targets)}; choose another layer"
        )
    return made


def _examine(
    graph: ir.Graph, score: ir.Value, targets: Sequence[ir.Value], leading: set[ir.Value]
) -> tuple[Plan, dict[ir.Node, str]]:
    """The active part of ``graph``, and what of it cannot be differentiated, with the reason."""
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
        reason = obstacle(graph, node, entry, outputs, active)
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
        tried.add(name)
        value = find_layer(graph, name)
        if is_explicable(graph, value, leading):
            rest, obstacles = _examine(graph, made.score, [value], leading)
            if made.score in rest.active and not obstacles:
                return name
    return None


def differentiate(
    emit: Emitter,
    plan: Plan,
    seed: Adjoint | OneHot,
    overrides: Mapping[str, Entry] = MappingProxyType({}),
) -> dict[ir.Value, Adjoint]:
    """Walk back from the score and return the cotangent of each target.

    Args:
        emit: Where nodes are added. What several walks have in common is made once.
        plan: From `plan`.
        seed: Cotangent of the score, with K on its leading axis.
        overrides: Entries that stand in for the table's, by operator.
    """
    pending: dict[ir.Value, list[Adjoint | OneHot]] = {plan.score: [seed]}
    # No shortcut leads past a node whose rule is another.
    changed = [value for node in plan.nodes if node.op_type in overrides for value in node.outputs]
    short = shortcuts(plan.nodes, [*plan.targets, *changed])
    for node in reversed(plan.nodes):
        grads = [_total(emit, pending.get(value, []), value) for value in node.outputs]
        if all(grad is None for grad in grads):
            continue
        for value, grad in zip(node.outputs, grads, strict=True):
            if grad is not None:
                pending[value] = [grad]
        needed = [value is not None and value in plan.active for value in node.inputs]
        with emit.scope(node.name or node.op_type):
            if node in short and grads[0] is not None:
                results = _shorten(emit, short[node], grads[0], node.outputs[0])
            else:
                entry = overrides.get(node.op_type) or lookup(node)
                applied = _apply(emit, node, entry, grads, needed)
                results = zip(node.inputs, applied, strict=True)
            for value, result in results:
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


def _shorten(
    emit: Emitter, shortcut: Shortcut, grad: Adjoint | OneHot, out: ir.Value
) -> list[tuple[ir.Value, Adjoint]]:
    """What a shortcut gives; like the rules, it is linear, and the factor goes around it."""
    if isinstance(grad, OneHot):
        grad = Adjoint(dense(emit, grad, out))
    found = shortcut(emit, replace(grad, factor=1.0))
    results = [(v, r if isinstance(r, Adjoint) else Adjoint(r)) for v, r in found if r is not None]
    return [(value, replace(made, factor=made.factor * grad.factor)) for value, made in results]


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
    emit: Emitter,
    node: ir.Node,
    entry: Entry | None,
    grads: Sequence[Adjoint | OneHot | None],
    needed: Sequence[bool],
) -> list[Adjoint | OneHot | None]:
    """Call the node's rule in the form that it wants; results come in the inputs' shapes."""
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
            if results is not None:
                results = [_seeded(emit, result, grad.scale) for result in results]
            grad = Adjoint(dense(emit, grad, out)) if results is None else None
        if results is None:
            assert grad is not None
            if not entry.linear and grad.factor < 0:
                grad = scaled(emit, grad)
            # Linear in the cotangent, or for positive factors at least: the factor goes around it.
            factor, grad = grad.factor, Adjoint(grad.value, 1.0, grad.spread)
            if not entry.lazy:
                grad = Adjoint(dense(emit, grad, out))
            results = entry.rule(emit, node, grad, needed)  # pyright: ignore[reportArgumentType]
    padded = [*results, *[None] * (len(node.inputs) - len(results))]
    return [
        _fit(emit, node, entry, value, result, factor) if wanted else None
        for value, result, wanted in zip(node.inputs, padded, needed, strict=True)
    ]


def _seeded(emit: Emitter, result: Result | OneHot, scale: float) -> Adjoint | OneHot | None:
    """What a selection rule took for a cotangent of ones, times what they are.

    The product is not left to the lazy factor: the scale exists to be in the numbers.
    """
    if result is None or isinstance(result, OneHot):
        return result
    adjoint = result if isinstance(result, Adjoint) else Adjoint(result)
    return replace(adjoint, value=scaled(emit, replace(adjoint, factor=scale)).value)


def _fit(
    emit: Emitter,
    node: ir.Node,
    entry: Entry,
    source: ir.Value | None,
    result: Result | OneHot,
    factor: float,
) -> Adjoint | OneHot | None:
    if source is None or result is None:
        return None
    if isinstance(result, OneHot):
        return result
    adjoint = result if isinstance(result, Adjoint) else Adjoint(result)
    product = adjoint.factor * factor
    # A quantiser's scale and its inverse cancel: nothing is left to multiply in.
    product = 1.0 if math.isclose(product, 1.0, rel_tol=1e-14) else product
    adjoint = Adjoint(adjoint.value, product, adjoint.spread)
    if entry.broadcasts:
        partners = partners_of(node, source)
        adjoint = unbroadcast(emit, adjoint, node.outputs[0], source, partners)
    return adjoint


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype in _FLOATS


def _carries(value: ir.Value, entry: Entry) -> bool:
    """Whether the output of an operator can carry a derivative.

    Integers and booleans cannot, but for those that stand for numbers (of a pooling, the places
    of the maxima do not).
    """
    if _is_float(value) or (entry.quantised and entry.state == "refused"):
        return True
    return is_code(value) and (entry.many or value.index() == 0)
