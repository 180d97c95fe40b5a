"""This module walks through time, for LSTM, GRU and RNN.

The hidden states of a layer are its output Y, so the gates of all steps are
recomputed at once, by one product with W and one with R, and with them every coefficient of the
chain rule. What remains of the adjoint is a recursion, linear in the cotangent, that runs against
time; the cotangents of X and of the weights are products over all steps again, outside the loop.

The recursion is a `Scan`: unrolled, a step would add some eight nodes (over 10,000 for timm's
smallest Sequencer), and the number of steps would have to be known. K is an axis of the state that
all operators in the body broadcast over, so K = 0 and open batches need no special case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed
from .direction import ByInput, Direction, Grads, R, X
from .values import where

_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def activate(emit: Emitter, name: str, value: ir.Value) -> ir.Value:
    """An activation function by its name in the node."""
    return emit.op(_ACTIVATIONS[name], value)


def slope(emit: Emitter, name: str, y: ir.Value) -> ir.Value:
    """Derivative of an activation, from its output; 0 for Relu at 0, as in PyTorch."""
    if name == "sigmoid":
        return emit.op("Mul", y, emit.op("Sub", 1.0, y, role="rest"), role="slope")
    if name == "tanh":
        return emit.op("Sub", 1.0, emit.op("Mul", y, y, role="square"), role="slope")
    return where(emit, emit.op("Greater", y, 0.0), emit.scalar(1.0, y))


def _directions(node: ir.Node) -> list[bool]:
    """For each direction: does it run backwards?"""
    name = node.attributes.get_string("direction", "forward")
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[name]


def _activations(node: ir.Node, default: Sequence[str]) -> list[str]:
    """Activations of all directions, in lower case: ONNX Runtime takes them in any."""
    given = node.attributes.get("activations")
    names = given.as_strings() if given is not None else []
    return [name.lower() for name in names] or [*default] * len(_directions(node))


def covered(node: ir.Node, default: Sequence[str]) -> str | None:
    """Why the rules do not cover a node, or None; ``default``: activations of one direction."""
    if node.attributes.get_int("layout", 0):
        return "layout=1 has no gradient rule (and ONNX Runtime no kernel); export with layout=0"
    if "clip" in node.attributes:
        return "clip has no gradient rule, since runtimes differ there; export without it"
    for name in _activations(node, default):
        if name not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS.values())
            return f"activation {name!r} has no gradient rule; only {known} have"
    if not isinstance(dims_of(only_input(node, R))[-1], int):
        return "the number of its hidden units is unknown; write its shape into the model"
    return None


def walk(
    emit: Emitter,
    node: ir.Node,
    grads: Grads,
    needed: Needed,
    default: Sequence[str],
    cotangents: Callable[[Direction], ByInput],
) -> Cotangents:
    """Put the cotangents of all directions together: X's are added, the others stacked.

    Args:
        emit: Where nodes are added.
        node: The recurrent node.
        grads: Cotangents of its outputs.
        needed: Which inputs need one.
        default: Activations of one direction.
        cotangents: Goes through one direction.
    """
    names, count = _activations(node, default), len(default)
    found = [
        cotangents(Direction(emit, node, index, backwards, names[index * count :][:count], grads))
        for index, backwards in enumerate(_directions(node))
    ]
    results: list[Cotangent | None] = [None] * len(node.inputs)
    for index in (index for index, asked in enumerate(needed) if asked):
        parts = [one[index]() for one in found]
        if index == X:
            total = parts[0]
            for part in parts[1:]:
                total = emit.op("Add", total, part, role="sum")
            value = emit.op("Transpose", total, role="inputs", perm=[1, 0, 2, 3])
        else:
            apart = [emit.op("Unsqueeze", part, [1], role="part") for part in parts]
            value = emit.op("Concat", *apart, role="stacked", axis=1)
        results[index] = Cotangent(emit, only_input(node, index), value)
    return results
