"""Reading a node: its attributes, and the integers behind its constant inputs."""

from __future__ import annotations

import onnx_ir as ir

from .emitter import constant_of


def only_input(node: ir.Node, index: int = 0) -> ir.Value:
    """Input ``index``, which the operator requires."""
    value = node.inputs[index]
    if value is None:
        raise ValueError(f"{node.op_type} {node.name!r} lacks its input {index}")
    return value


def int_attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def float_attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def string_attribute(node: ir.Node, name: str, default: str) -> str:
    """A string attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def ints_attribute(node: ir.Node, name: str) -> list[int] | None:
    """A list of integers, or None where the node does not set it."""
    attribute = node.attributes.get(name)
    return None if attribute is None else [int(number) for number in attribute.as_ints()]


def constant_ints(value: ir.Value | None) -> list[int] | None:
    """The integers behind a constant input, or None where it is no constant."""
    array = constant_of(value)
    return None if array is None else [int(number) for number in array.reshape(-1)]
