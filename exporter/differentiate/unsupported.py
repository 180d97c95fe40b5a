"""This module says why an operator cannot be differentiated, and what helps."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import onnx_ir as ir

from ...runtime.errors import GraftcamError
from ..errors import UnsupportedError, first_line
from ..graph.emitter import dims_of
from ..graph.integer_arithmetic import kind_of
from ..graph.queries import inputs_of, module_path
from .rules import Entry, is_code

_NEWEST = 23  # opset up to which every operator is in the table


def unsupported_reason(
    graph: ir.Graph,
    node: ir.Node,
    entry: Entry | None,
    outputs: Sequence[ir.Value],
    active: set[ir.Value],
) -> str | None:
    """Why an active node cannot be differentiated, with its name and place, or None.

    Args:
        graph: The node's graph.
        node: The node.
        entry: What is known about its operator.
        outputs: Those of its outputs that lead to the score.
        active: Values that depend on a target.
    """
    plain, where = _is_plain(node), described(node)
    opset = graph.opset_imports.get("", _NEWEST)
    if not plain and (kind := kind_of(node)) is not None:
        return f"{where}: no gradient rule: {kind.word}: {kind.reason}; {kind.remedy}"
    if not plain:
        return f"{where}: no gradient rule: it is no operator of plain ONNX; {_plain(node.domain)}"
    if entry is None:
        hint = f"; export with opset {_NEWEST} or older" if opset > _NEWEST else ""
        return f"{where}: no gradient rule{hint}"
    if entry.refusal is not None:
        return f"{where}: no gradient rule: {entry.refusal}"
    if opset < entry.since:
        return f"{where}: opset {opset} defines it otherwise; export with opset {entry.since}"
    for index, value in enumerate(node.inputs):
        if value in active and not entry.differentiable(index):
            return f"{where}: the gradient of its input {value.name!r} has no rule"
        if value is not None and value in active and is_code(value) and not entry.quantised:
            return (
                f"{where}: it computes with the integers {value.name!r}, which has no gradient "
                "rule; quantise in QDQ format, with a DequantizeLinear before it"
            )
    inputs = [value for i, value in enumerate(node.inputs) if entry.differentiable(i)]
    unknown = [value for value in (*outputs, *inputs) if value is not None and value.shape is None]
    if any(value.shape is None for value in inputs_of(node) if value in active):
        return None  # the node that it comes from is an obstacle already
    if unknown:
        return f"{where}: the rank of {unknown[0].name!r} is unknown; {_rank(unknown[0])}"
    empty = next((v for v in inputs_of(node) if v in active and 0 in dims_of(v)), None)
    if empty is not None and node.op_type != "Concat" and not any(0 in dims_of(v) for v in outputs):
        return f"{where}: its input {empty.name!r} is empty, {dims_of(empty)}; give larger inputs"
    if not entry.many and any(v is not node.outputs[0] for v in outputs):
        return f"{where}: the gradient of its output {outputs[0].name!r} has no rule"
    try:
        reason = entry.check(node) if entry.check else None
    except Exception as error:  # a node such as its rule never expected
        reason = f"its gradient rule does not cover it ({_cause(error)})"
    return f"{where}: {reason}" if reason else None


@contextmanager
def refused_if_its_rule_fails(node: ir.Node) -> Generator[None]:
    """Inside, the gradient rule of ``node`` runs.

    Raises:
        UnsupportedError: The rule raised an exception of another kind, which is the cause.
    """
    try:
        yield
    except GraftcamError:
        raise
    except Exception as error:
        reason = f"{described(node)}: its gradient rule fails ({_cause(error)})"
        raise UnsupportedError([reason]) from error


def described(node: ir.Node) -> str:
    """Operator, name and module path of a node, as messages give them."""
    path = module_path(node)
    operator = node.op_type if _is_plain(node) else f"{node.domain}.{node.op_type}"
    return f"{operator} {node.name!r}" + (f" ({path})" if path else "")


def _is_plain(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx")


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _plain(domain: str) -> str:
    """The remedy for an operator of another domain."""
    if domain.startswith("com.microsoft"):
        return (
            "give the model as it was before ONNX Runtime's optimisation (it fuses operators into "
            "its own), or choose a layer after it"
        )
    return "give its definition along as a model-local function, or choose a layer after it"


def _rank(value: ir.Value) -> str:
    """The remedy for a rank that shape inference could not find: the value to start at."""
    producer = value.producer()
    while producer is not None:
        before = next((v for v in inputs_of(producer) if v.shape is None), None)
        if before is None:
            break
        value, producer = before, before.producer()
    maker = "" if producer is None else f" ({producer.op_type} {producer.name!r})"
    return f"shape inference stops at {value.name!r}{maker}: write its shape into the model"
