"""These functions read a node's attributes, and the integers of its constant inputs."""

from __future__ import annotations

import onnx_ir as ir

from .emitter import constant_of


def only_input(node: ir.Node, index: int = 0) -> ir.Value:
    """Return input ``index``, which the operator requires."""
    value = node.inputs[index]
    if value is None:
        raise ValueError(f"{node.op_type} {node.name!r} lacks its input {index}")
    return value


def ints_attribute(node: ir.Node, name: str) -> list[int] | None:
    """Return a list of integers, or None if the node does not set it."""
    attribute = node.attributes.get(name)
    return None if attribute is None else [int(number) for number in attribute.as_ints()]


def constant_ints(value: ir.Value | None) -> list[int] | None:
    """Return the integers of a constant input, or None if it is not constant."""
    array = constant_of(value)
    return None if array is None else [int(number) for number in array.reshape(-1)]
