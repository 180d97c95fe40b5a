"""These rules differentiate GRU, RNN and ReverseSequence; `recurrence` walks through time."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, Values, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp, vjp_many
from ..support.direction import INITIAL_H, B, ByInput, Direction, Grads, R, W
from ..support.recurrence import activate, covered, slope, walk

_GRU, _RNN = ("sigmoid", "tanh"), ("tanh",)


@vjp_many("GRU", since=7, check=lambda node: covered(node, _GRU))
def gru(emit: Emitter, node: ir.Node, grads: Grads, needed: Needed) -> Cotangents:
    """``dgates W`` for X, where ``dh_before = dh z`` and what the gates took of it run back.

    With ``h = (1 - z) n + z h_before`` and ``n = g(X W^T + (r h_before) R^T)``, Y's cotangent joins
    at each step, ``dn = dh (1 - z) g'``, ``dz = dh (h_before - n) z'`` and ``dr = (dn R) h_before
    r'``. Under ``linear_before_reset`` ``n = g(X W^T + r (h_before R^T + b))``: the reset gate
    comes after the product. Steps beyond the end of a sequence hand the cotangent on.
    """
    return walk(emit, node, grads, needed, _GRU, _gru)


def _gru(way: Direction) -> ByInput:
    emit, (f_name, g_name) = way.emit, way.names
    after = bool(way.node.attributes.get_int("linear_before_reset", 0))

    def product(a: ir.Value, b: ir.Value, role: str = "slopes") -> ir.Value:
        return emit.op("Mul", a, b, role=role)

    def rest(a: ir.Value) -> ir.Value:
        return emit.op("Sub", 1.0, a, role="rest")

    w_bias, rzr_bias, rn_bias = way.biases(3, 2, 1)
    r_zr, r_n = way.parts(way.weights(R), 2, 1, axis=0)
    h_before = way.before(way.states(), way.start(INITIAL_H))
    x_zr, x_n = way.parts(way.times(way.x, way.weights(W), w_bias), 2, 1)
    pre = emit.op("Add", x_zr, way.times(h_before, r_zr, rzr_bias), role="gates")
    z, r = way.parts(activate(emit, f_name, pre), 1, 1)
    reset = h_before if after else product(r, h_before, "reset")
    seen = way.times(reset, r_n, rn_bias)
    pre = emit.op("Add", x_n, product(r, seen, "seen") if after else seen, role="gates")
    n = activate(emit, g_name, pre)
    by_z = product(emit.op("Sub", h_before, n, role="change"), slope(emit, f_name, z))
    by_r = product(seen if after else h_before, slope(emit, f_name, r))
    by_n = product(rest(z), slope(emit, g_name, n))

    def back(states: Values, given: Values) -> tuple[Values, Values]:
        (dh,), (z, r, by_z, by_r, by_n) = states, given
        dn = product(dh, by_n, "dn")
        # The reset gate scales the cotangent on the same side of the product as the state.
        inner = emit.op("MatMul", product(dn, r, "ds") if after else dn, r_n, role="inner")
        dz, dr = product(dh, by_z, "dz"), product(dn if after else inner, by_r, "dr")
        outer = emit.op("MatMul", way.joined(dz, dr), r_zr, role="outer")
        carried = emit.op("Add", product(dh, z, "carried"), outer, role="dh")
        dh = emit.op("Add", carried, inner if after else product(inner, r, "inner"), role="dh")
        return [dh], [way.joined(dz, dr, dn)]

    (dh,), (grad,) = way.back([way.end(1)], [z, r, by_z, by_r, by_n], back)

    def by_part() -> tuple[ir.Value, ir.Value]:
        """Cotangents of the products with both parts of R."""
        dzr, dn = way.parts(grad, 2, 1)
        if not after:
            return dzr, dn
        return dzr, product(dn, emit.op("Unsqueeze", r, [1], role="reset"), "ds")

    def recurrent() -> ir.Value:
        dzr, ds = by_part()
        rows = way.over_steps(dzr, h_before, 2), way.over_steps(ds, reset, 1)
        return way.joined(*rows, axis=1)

    return {
        **way.inputs(grad, 3),
        R: recurrent,
        B: lambda: way.joined(*(way.total(part) for part in (grad, *by_part()))),
        INITIAL_H: lambda: dh,
    }


@vjp_many("RNN", since=7, check=lambda node: covered(node, _RNN))
def rnn(emit: Emitter, node: ir.Node, grads: Grads, needed: Needed) -> Cotangents:
    """``dgates W`` for X, where ``dgates = dh f'`` and ``dh_before = dgates R`` run back.

    Y's cotangent joins ``dh`` at each step. Steps beyond the end of a sequence hand it on.
    """
    return walk(emit, node, grads, needed, _RNN, _rnn)


def _rnn(way: Direction) -> ByInput:
    emit, states, recurrent = way.emit, way.states(), way.weights(R)

    def back(states: Values, given: Values) -> tuple[Values, Values]:
        grad = emit.op("Mul", states[0], given[0], role="gates")
        return [emit.op("MatMul", grad, recurrent, role="dh")], [grad]

    (dh,), (grad,) = way.back([way.end(1)], [slope(emit, way.names[0], states)], back)

    return {
        **way.inputs(grad, 1),
        R: lambda: way.over_steps(grad, way.before(states, way.start(INITIAL_H)), 1),
        INITIAL_H: lambda: dh,
    }


@vjp("ReverseSequence", since=10, inputs=(0,))
def reverse_sequence(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The same reversal, which undoes itself, with K behind the batch and time axes."""
    batch, time = node.attributes.get_int("batch_axis", 1), node.attributes.get_int("time_axis", 0)
    rest, lengths = range(3, 1 + len(dims_of(only_input(node)))), only_input(node, 1)
    g = g.op("Transpose", role="classes_third", perm=[1, 2, 0, *rest])
    g = g.op("ReverseSequence", lengths, role="reversed", batch_axis=batch, time_axis=time)
    return [g.op("Transpose", role="classes_first", perm=[2, 0, 1, *rest])]
