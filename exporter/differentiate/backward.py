"""`differentiate` walks an ONNX graph back from the class scores to the target layers.

The walk calls the rule of each node that `plan` found. Once for all rules, it sums over broadcast
axes, adds up the consumers' cotangents, and writes out lazy cotangents that a rule does not take.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import TypeAlias

import onnx_ir as ir

from ..errors import LayerError
from ..graph.emitter import Emitter
from .cotangent import Cotangent
from .fused_rules import FusedRule, fused_rules
from .plan import Plan
from .rules import Entry, lookup
from .unbroadcast import unbroadcast
from .unsupported import refused_if_its_rule_fails

# Called with a node, the cotangent of its first output, and what the node hands on to its inputs,
# each with the value that it is of; of a fused rule, to those of the nodes that it skips.
Watch: TypeAlias = Callable[[ir.Node, Cotangent | None, Sequence[tuple[ir.Value, Cotangent]]], None]


def differentiate(
    emit: Emitter,
    plan: Plan,
    seed: Cotangent,
    overrides: Mapping[str, Entry] = MappingProxyType({}),
    watch: Watch | None = None,
) -> dict[ir.Value, Cotangent]:
    """Walk back from the score and return the cotangent of each target.

    Args:
        emit: Where nodes are added. Nodes that several walks share are made once.
        plan: From `plan`.
        seed: Cotangent of the score, with K on its leading axis.
        overrides: Entries that replace the table's, by operator.
        watch: Called after each node of the walk.
    """
    pending: dict[ir.Value, list[Cotangent]] = {plan.score: [seed]}
    joined: Joined = {}
    # No fused rule may skip a node whose rule is replaced.
    changed = [value for node in plan.nodes if node.op_type in overrides for value in node.outputs]
    fused = fused_rules(plan.nodes, [*plan.targets, *changed])
    for node in reversed(plan.nodes):
        grads = [total_of(pending.get(value, []), joined) for value in node.outputs]
        if all(grad is None for grad in grads):
            continue
        for value, grad in zip(node.outputs, grads, strict=True):
            if grad is not None:
                pending[value] = [grad]
        grads, rows = _alike(grads)
        behind = any(grad is not None and grad.unbounded for grad in grads)
        with (
            refused_if_its_rule_fails(node),
            emit.scope(node.name or node.op_type),
            emit.for_rows(rows),
        ):
            if node in fused and grads[0] is not None:
                results = _by_fused_rule(fused[node], grads[0])
            else:
                entry = overrides.get(node.op_type) or lookup(node)
                assert entry is not None
                results = _by_rule(emit, node, entry, grads, plan)
                behind |= entry.unbounded(node)
            results = [
                (value, replace(result, rows=rows, unbounded=behind)) for value, result in results
            ]
            if node in plan.junctions:
                results = [(value, result.only_rows()) for value, result in results]
        if watch is not None:
            watch(node, grads[0], results)
        for value, result in results:
            if value in plan.active:
                pending.setdefault(value, []).append(result)
    found: dict[ir.Value, Cotangent] = {}
    for target in plan.targets:
        total = total_of(pending.get(target, []), joined)
        if total is None:
            raise LayerError(
                f"the gradient of the score is structurally zero at {target.name!r}; "
                "choose another layer"
            )
        found[target] = total.with_zeros().all_rows()
    return found


def _alike(
    grads: Sequence[Cotangent | None],
) -> tuple[list[Cotangent | None], ir.Value | None]:
    """Cotangents of a node's outputs with the same scores on their leading axis, and these."""
    rows = {grad.rows for grad in grads if grad is not None}
    if len(rows) > 1:
        return [grad and grad.all_rows() for grad in grads], None
    return [*grads], next(iter(rows))


Joined: TypeAlias = dict[ir.Value, frozenset[ir.Value]]
"""The lists that were joined to lists of scores, by the whole."""


def total_of(cotangents: Sequence[Cotangent], joined: Joined) -> Cotangent | None:
    """The sum of the consumers' cotangents of a value; a single one-hot cotangent stays one."""
    if len(cotangents) > 1:
        cotangents = [one.with_zeros() for one in cotangents]
    if len({one.factor for one in cotangents}) > 1:
        cotangents = [one.scaled() for one in cotangents]
    lists = {one.rows for one in cotangents}
    if len(lists) > 1:
        parts = [joined.get(rows, frozenset({rows})) for rows in lists if rows is not None]
        whole = frozenset[ir.Value]().union(*parts)
        # Lists with a part in common would name its scores twice, and then four times, and so on.
        if None not in lists and len(whole) == sum(map(len, parts)):
            total = reduce(Cotangent.beside, _summed(cotangents))
            assert total.rows is not None
            joined[total.rows] = whole
            return total
        cotangents = [one.all_rows() for one in cotangents]
    return reduce(operator.add, cotangents) if cotangents else None


def _summed(cotangents: Sequence[Cotangent]) -> list[Cotangent]:
    """The sums of those about the same list of scores."""
    lists = dict.fromkeys(one.rows for one in cotangents)
    return [reduce(operator.add, [one for one in cotangents if one.rows is rows]) for rows in lists]


def _by_fused_rule(rule: FusedRule, grad: Cotangent) -> list[tuple[ir.Value, Cotangent]]:
    """Call a fused rule; like the others it is linear, so the factor is applied to its results."""
    grad = grad.with_zeros()
    found = rule(replace(grad, factor=1.0))
    return [(value, replace(one, forward=value) * grad.factor) for value, one in found]


def _by_rule(
    emit: Emitter, node: ir.Node, entry: Entry, grads: Sequence[Cotangent | None], plan: Plan
) -> list[tuple[ir.Value, Cotangent]]:
    """Call the node's rule with cotangents in the form that it takes."""
    assert entry.rule is not None
    needed = [value is not None and value in plan.active for value in node.inputs]
    factor, results = 1.0, None
    if entry.many:
        whole = [None if grad is None else grad.written_out() for grad in grads]
        results = entry.rule(emit, node, whole, needed)  # pyright: ignore[reportArgumentType]
    else:
        grad = grads[0]
        assert grad is not None
        if grad.one_hot is not None and entry.selection is not None:
            results = entry.selection(emit, node, replace(grad, factor=1.0), needed)
        if results is not None:
            results = [one and _in_numbers(one, grad.factor) for one in results]
        else:
            grad = grad.with_zeros()
            # Linear in the cotangent, at least for positive factors: the factor comes after it.
            grad = grad if entry.linear or grad.factor > 0 else grad.scaled()
            factor, unit = grad.factor, replace(grad, factor=1.0)
            unit = unit if entry.lazy else unit.expanded()
            results = entry.rule(emit, node, unit, needed)  # pyright: ignore[reportArgumentType]
    padded = [*results, *[None] * (len(node.inputs) - len(results))]
    return [
        (source, _of_input(node, entry, source, result * factor))
        for source, result, asked in zip(node.inputs, padded, needed, strict=True)
        if asked and source is not None and result is not None
    ]


def _in_numbers(result: Cotangent, scale: float) -> Cotangent:
    """The result of a selection rule for ones, times the number that the seed has instead.

    The product is computed, not left to the lazy factor: the scale must be in the numbers.
    """
    if result.one_hot is not None:
        return result * scale
    return replace(result, factor=scale).scaled() * result.factor


def _of_input(node: ir.Node, entry: Entry, source: ir.Value, result: Cotangent) -> Cotangent:
    """The cotangent that a rule gave for an input, in the input's shape."""
    if entry.broadcasts and result.one_hot is None:
        return unbroadcast(replace(result, forward=node.outputs[0]), node, source)
    return replace(result, forward=source)
