"""`protect` prevents ONNX Runtime's optimisers from changing what a model computes.

By the operators' specifications its edits do not change the meaning of the graph.
"""

from __future__ import annotations

import onnx_ir as ir

from .emitter import Emitter, constant_of, dims_of


def protect(graph: ir.Graph) -> list[str]:
    """Rewrite patterns that ONNX Runtime is known to optimise wrongly.

    Returns:
        Notes for the user.
    """
    guarded = [node for node in graph if node.op_type == "Pad" and _merges_into_max_pool(node)]
    emit = Emitter(graph)
    for node in guarded:
        value = node.inputs[0]
        assert value is not None
        # ONNX Runtime does not merge a Pad with explicit axes; all axes are the default.
        node.resize_inputs(4)
        node.replace_input_with(3, emit.ints(range(len(dims_of(value)))))
    return [
        f"ONNX Runtime (1.31 and before) would merge the zeros of {node.name!r} into a MaxPool, "
        "which pads with -inf and so changes the model's result; the artifact prevents this"
        for node in guarded
    ]


def _merges_into_max_pool(node: ir.Node) -> bool:
    """Whether the node is a Pad with zeros that a MaxPool reads."""
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return False
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return False
    if node.inputs[0] is None or node.inputs[0].shape is None:
        return False
    filling = node.inputs[2] if len(node.inputs) > 2 else None
    number = constant_of(filling)
    if filling is not None and (number is None or number.item() != 0):
        return False
    return any(use.node.op_type == "MaxPool" for use in node.outputs[0].uses())
