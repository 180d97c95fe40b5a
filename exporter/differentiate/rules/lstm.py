"""This rule differentiates one step of an LSTM; `recurrence` walks through time."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.emitter import Emitter, Values
from ..cotangent import Cotangents
from ..registry import Needed, vjp_many
from ..support.direction import INITIAL_H, ByInput, Direction, Grads, R, W
from ..support.recurrence import activate, covered, slope, walk

_INITIAL_C, _PEEPHOLES = 6, 7
_DEFAULT = ("sigmoid", "tanh", "tanh")


def _check(node: ir.Node) -> str | None:
    if node.attributes.get_int("input_forget", 0):
        return "input_forget=1 has no gradient rule; export the model with separate gates"
    return covered(node, _DEFAULT)


@vjp_many("LSTM", since=7, check=_check)
def lstm(emit: Emitter, node: ir.Node, grads: Grads, needed: Needed) -> Cotangents:
    """``dgates W`` for X, where ``dgates R`` and ``dc f`` run back through time.

    With ``c = f c_before + i g`` and ``h = o h(c)``, Y's cotangent joins ``dh`` at each step,
    ``dc`` gets ``dh o h'(c)``, and ``dgates = (dc g i', dh h(c) o', dc c_before f', dc i g')``.
    Steps beyond the end of a sequence hand both states' cotangents on.
    """
    return walk(emit, node, grads, needed, _DEFAULT, _one_direction)


def _one_direction(way: Direction) -> ByInput:
    emit, (f_name, g_name, h_name) = way.emit, way.names
    given = way.given(_PEEPHOLES)
    peepholes = None if given is None else way.parts(given, 1, 1, 1)

    def product(a: ir.Value, b: ir.Value, role: str = "slopes") -> ir.Value:
        return emit.op("Mul", a, b, role=role)

    def gate(pre: ir.Value, cell: ir.Value, which: int) -> ir.Value:
        """Input (0), output (1) or forget gate (2), the cell seen through its peephole."""
        if peepholes is not None:
            pre = emit.op("Add", pre, product(cell, peepholes[which], "seen"), role="seen")
        return activate(emit, f_name, pre)

    h_before = way.before(way.states(), way.start(INITIAL_H))
    w_bias, r_bias = way.biases(4, 4)
    from_x = way.times(way.x, way.weights(W), w_bias)
    pre = emit.op("Add", from_x, way.times(h_before, way.weights(R), r_bias), role="gates")
    pre_i, pre_o, pre_f, pre_g = way.parts(pre, 1, 1, 1, 1)
    g = activate(emit, g_name, pre_g)

    def forth(states: Values, given: Values) -> tuple[Values, Values]:
        cell, i, f, g = states[0], *given
        if peepholes is not None:
            i, f = gate(i, cell, 0), gate(f, cell, 2)
        new = emit.op("Add", product(f, cell, "carried"), product(i, g, "fresh"), role="cell")
        return [new], [new]

    start = way.start(_INITIAL_C)
    seen = [pre_i, pre_f] if peepholes else [activate(emit, f_name, pre) for pre in (pre_i, pre_f)]
    _, (cells,) = way.forth([start], [*seen, g], forth, "cells")
    c_before = way.before(cells, start)
    i, o, f = gate(pre_i, c_before, 0), gate(pre_o, cells, 1), gate(pre_f, c_before, 2)
    out = activate(emit, h_name, cells)
    by_i = product(g, slope(emit, f_name, i))
    by_o = product(out, slope(emit, f_name, o))
    by_f = product(c_before, slope(emit, f_name, f))
    by_g = product(i, slope(emit, g_name, g))
    through, carried = product(o, slope(emit, h_name, out)), f
    if peepholes is not None:
        p_i, p_o, p_f = peepholes
        through = emit.op("Add", through, product(by_o, p_o), role="through")
        carried = emit.op("Add", carried, product(by_i, p_i), role="carried")
        carried = emit.op("Add", carried, product(by_f, p_f), role="carried")
    recurrent = way.weights(R)

    def back(states: Values, given: Values) -> tuple[Values, Values]:
        (dh, dc), (through, carried, slopes) = states, given
        dc = emit.op("Add", dc, product(dh, through, "through"), role="dc")
        gates = product(way.joined(dc, dh, dc, dc), slopes, "gates")
        dh = emit.op("MatMul", gates, recurrent, role="dh")
        return [dh, product(dc, carried, "carried")], [gates]

    (dh, dc), (grad,) = way.back(
        [way.end(1), way.end(2)], [through, carried, way.joined(by_i, by_o, by_f, by_g)], back
    )

    def looks() -> ir.Value:
        by_gate = way.parts(grad, 1, 1, 1, 1)
        looked = [
            emit.op("Unsqueeze", cell, [1], role="looked") for cell in (c_before, cells, c_before)
        ]
        return way.joined(
            *(way.total(product(*pair)) for pair in zip(by_gate[:3], looked, strict=True))
        )

    return {
        **way.inputs(grad, 4),
        R: lambda: way.over_steps(grad, h_before, 4),
        INITIAL_H: lambda: dh,
        _INITIAL_C: lambda: dc,
        _PEEPHOLES: looks,
    }
