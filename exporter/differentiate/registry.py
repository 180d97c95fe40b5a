"""This module stores the table of gradient rules.

An operator is in one of three states: it has a **rule** (a vector-Jacobian product), it is a
declared **zero** (its output carries no derivative), or it is declared **refused**, with the reason
and a remedy. One that is not in the table is unknown and refused by name. Nothing silently yields
zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import onnx_ir as ir

from ..graph.emitter import Emitter
from .cotangent import Cotangent, Cotangents

# For each input of the node: is its cotangent needed?
Needed: TypeAlias = Sequence[bool]
Rule: TypeAlias = Callable[[Emitter, ir.Node, Cotangent, Needed], Cotangents]
ManyRule: TypeAlias = Callable[[Emitter, ir.Node, Sequence[Cotangent | None], Needed], Cotangents]
SelectionRule: TypeAlias = Callable[[Emitter, ir.Node, Cotangent, Needed], Cotangents | None]
Check: TypeAlias = Callable[[ir.Node], str | None]


@dataclass(frozen=True)
class Entry:
    """The table's entry for one operator.

    Attributes:
        op_type: Operator of the default ONNX domain.
        since: First opset of the operator's form that the rule is written for.
        rule: The vector-Jacobian product, or None for a declared zero or a refusal.
        many: The rule takes the written-out cotangents of all outputs, not the first one's.
        inputs: The inputs that can carry a derivative; None for all.
        lazy: The rule understands cotangents that are spread along axes.
        broadcasts: Inputs are broadcast; the rule returns cotangents in the shape of the output,
            and the walk sums them down.
        check: Returns the reason why the rule does not cover a node, or None.
        selection: Rule for a one-hot cotangent of class scores, which may stay one; it may return
            None to decline, and the cotangent is written out.
        refusal: Why the operator has no rule and what to do; None if it is not refused.
        linear: The rule is linear in the cotangent, as those of derivatives are. The others may use
            its sign, and are linear for positive factors only.
        quantised: Integers that it returns, or takes and moves, represent numbers. They carry a
            float cotangent where the operator has a rule, and are refused where it is refused.
        unbounded: Whether the derivative of a node has no bound: it may be infinite at a finite
            input, and what is masked behind it must be zero all the same.
    """

    op_type: str
    since: int
    rule: Rule | ManyRule | None
    many: bool = False
    inputs: tuple[int, ...] | None = None
    lazy: bool = False
    broadcasts: bool = False
    check: Check | None = None
    selection: SelectionRule | None = None
    refusal: str | None = None
    quantised: bool = False
    linear: bool = True
    unbounded: Callable[[ir.Node], bool] = lambda node: False

    @property
    def state(self) -> Literal["rule", "zero", "refused"]:
        """Which of the three declared states the operator is in."""
        if self.refusal is not None:
            return "refused"
        return "zero" if self.rule is None else "rule"

    def differentiable(self, index: int) -> bool:
        """Whether input ``index`` can carry a derivative."""
        return self.rule is not None and (self.inputs is None or index in self.inputs)


_TABLE: dict[str, Entry] = {}


def _register(entry: Entry) -> None:
    if entry.op_type in _TABLE:
        raise ValueError(f"two rules for {entry.op_type}")
    _TABLE[entry.op_type] = entry


def vjp(
    *op_types: str,
    since: int,
    inputs: tuple[int, ...] | None = None,
    lazy: bool = False,
    broadcasts: bool = False,
    check: Check | None = None,
    selection: SelectionRule | None = None,
    quantised: bool = False,
    unbounded: Callable[[ir.Node], bool] | bool = False,
) -> Callable[[Rule], Rule]:
    """Register a rule for operators with one differentiable output; see `Entry`."""
    asked = unbounded if callable(unbounded) else lambda node: unbounded

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            entry = Entry(op_type, since, rule, False, inputs, lazy, broadcasts, check, selection)
            _register(replace(entry, quantised=quantised, unbounded=asked))
        return rule

    return register


def vjp_many(
    op_type: str, *, since: int, check: Check | None = None, quantised: bool = False
) -> Callable[[ManyRule], ManyRule]:
    """Register a rule for an operator with several differentiable outputs; see `Entry`."""

    def register(rule: ManyRule) -> ManyRule:
        _register(Entry(op_type, since, rule, many=True, check=check, quantised=quantised))
        return rule

    return register


def declare_zero(*op_types: str, since: int = 1) -> None:
    """Register operators whose outputs carry no derivative."""
    for op_type in op_types:
        _register(Entry(op_type, since, None))


def declare_refused(*op_types: str, reason: str, remedy: str, quantised: bool = False) -> None:
    """Register operators that could carry a derivative but have no rule, on purpose.

    Args:
        op_types: The operators.
        reason: Why there is no rule, after "no gradient rule:" in the message.
        remedy: What the user can do.
        quantised: See `Entry`.
    """
    for op_type in op_types:
        _register(Entry(op_type, 1, None, refusal=f"{reason}; {remedy}", quantised=quantised))


def lookup(node: ir.Node) -> Entry | None:
    """The entry for a node's operator, or None if the operator is unknown."""
    return _TABLE.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def is_code(value: ir.Value) -> bool:
    """Whether a value consists of integers of a quantiser, moved or not."""
    producer = value.producer()
    entry = None if producer is None else lookup(producer)
    whole = value.dtype is not None and value.dtype.is_integer()
    return whole and entry is not None and entry.state == "rule" and entry.quantised


def table() -> dict[str, Entry]:
    """All entries by operator."""
    return dict(sorted(_TABLE.items()))
