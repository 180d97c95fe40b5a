"""`check_operators` checks that each operator has the attributes and inputs that ONNX demands."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, checker

from .check_graph import label, subgraphs
from .check_tensor import BadGraphError

_OWN = ("", "ai.onnx")
# What ONNX's checker says as well, and later steps say better.
_LEFT = ("No Op registered", "No opset import", "is deprecated")
_FIRST_VERSION = 3  # of ONNX's format that its checker knows


def check_operators(model: onnx.ModelProto) -> None:
    """Check the nodes of a graph and of its subgraphs with ONNX's checker.

    ONNX Runtime makes the same check as it loads a model. Nodes with subgraphs are left out: they
    cannot be checked outside of their graph. So are those with weights in another file.

    Raises:
        BadGraphError: An operator lacks something, or has something of another type.
    """
    context = checker.C.CheckerContext()
    context.ir_version = max(model.ir_version, _FIRST_VERSION)
    context.opset_imports = {
        "" if one.domain in _OWN else one.domain: one.version for one in model.opset_import
    }
    functions = {(one.domain, one.name) for one in model.functions}
    for node in _nodes(model.graph):
        if node.domain not in _OWN or (node.domain, node.op_type) in functions:
            continue
        if any(one.t.data_location == TensorProto.EXTERNAL for one in node.attribute):
            continue
        try:
            checker.check_node(node, context)
        except checker.ValidationError as error:
            reason = str(error).strip().splitlines()[0]
            if not any(words in reason for words in _LEFT):
                raise BadGraphError(f"{label(node)}: {reason}") from None


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        inner = [one for attribute in node.attribute for one in subgraphs(attribute)]
        if not inner:
            yield node
        for one in inner:
            yield from _nodes(one)
