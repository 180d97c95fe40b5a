"""`protect` prevents ONNX Runtime's optimisers from changing what a model computes.

By the operators' specifications its edits do not change the meaning of the graph.
"""

from __future__ import annotations

import onnx_ir as ir

from .emitter import Emitter, constant_of, dims_of

_TYPED_CODES = 21  # the opset whose QuantizeLinear has output_dtype
_MOVING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Flatten", "MaxPool")


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


def shield_codes(graph: ir.Graph) -> None:
    """Keep ONNX Runtime from quantising what graftcam's nodes move.

    Behind a DequantizeLinear it quantises the result of a Reshape or Transpose once more, to move
    codes instead. From opset 21 on it then gives int8 codes an unsigned zero point, but not an
    unsigned type (seen in 1.32), and the file no longer loads. It does not look through a Sum.
    """
    if graph.opset_imports.get("", 0) < _TYPED_CODES:
        return
    moving, emit = [node for node in graph if _moves_signed_codes(node)], Emitter(graph)
    for node in moving:
        node.replace_input_with(0, emit.op("Sum", node.inputs[0], role="shield"))
    if moving:
        graph.sort()


def _moves_signed_codes(node: ir.Node) -> bool:
    """Whether an added node moves numbers that a DequantizeLinear makes of int8 codes."""
    if node.op_type not in _MOVING or not (node.name or "").startswith("grad/"):
        return False
    value = node.inputs[0]
    maker = None if value is None else value.producer()
    if maker is None or maker.op_type != "DequantizeLinear" or maker.inputs[0] is None:
        return False
    return maker.inputs[0].dtype is ir.DataType.INT8 and constant_of(maker.inputs[0]) is None


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
