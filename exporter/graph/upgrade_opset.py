"""`converted` upgrades older ONNX files to opset 18."""

from __future__ import annotations

import onnx_ir as ir

from ..errors import CaptureError, first_line
from .emitter import constant_of

_RESIZING = ("Upsample", "Resize")
_BY_AXIS = 13  # the opset from which on Hardmax works along one axis


def converted(model: ir.Model, version: int, name: str) -> ir.Model:
    """Convert ``model`` to opset 18 with ONNX's own converter, and correct its errors.

    Up to opset 10, Upsample and Resize read position ``i`` of their result at ``i / scale``
    (asymmetric). The nearest position is rounded down, in ONNX Runtime up if the tensor shrinks.
    The converter (seen in onnx 1.23) uses the defaults of Resize instead, half pixels and
    rounding. Up to opset 12, Hardmax has one winner in all that follows its axis; the converter
    leaves the node as it is, which then has one along the axis.

    Raises:
        CaptureError: The converter fails.
    """
    import onnx.version_converter

    before = [node for node in model.graph if node.op_type in _RESIZING]
    try:
        proto = onnx.version_converter.convert_version(ir.to_proto(model), 18)
    except Exception as error:
        raise CaptureError(
            f"{name} uses opset {version} and cannot be converted to 18: {first_line(error)}; "
            "export it with opset 18 or newer"
        ) from error
    made = ir.from_proto(proto)
    after = [node for node in made.graph if node.op_type == "Resize"]
    for old, new in zip(before, after, strict=True):
        if old.op_type == "Upsample" or version < 11:
            _as_before(new)
        # The converter also changes the name, by which the user may select a layer.
        new.outputs[0].name = old.outputs[0].name
    if version < _BY_AXIS:
        for node in [node for node in made.graph if node.op_type == "Hardmax"]:
            _over_rows(made.graph, node)
    return made


def _as_before(node: ir.Node) -> None:
    """Set a Resize node's coordinates to those of Upsample and Resize up to opset 10."""
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    shrinks = scales is not None and float(scales.min()) < 1
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    node.attributes.add(ir.AttrString("nearest_mode", "ceil" if shrinks else "floor"))


def _over_rows(graph: ir.Graph, node: ir.Node) -> None:
    """Let a Hardmax work on its input flattened to rows at its axis, 1 by default."""
    x, y, name = node.inputs[0], node.outputs[0], node.outputs[0].name
    result = ir.Value(name=name, type=y.type, shape=y.shape)
    ir.convenience.replace_all_uses_with(y, result, replace_graph_outputs=True)
    y.name, y.shape = f"{name}/rows", None
    rows = ir.node("Flatten", [x], {"axis": node.attributes.get_int("axis", 1)})
    extents = ir.node("Shape", [x])
    for made, role in ((rows, "flat"), (extents, "shape")):
        made.name = made.outputs[0].name = f"{name}/{role}"
    node.replace_input_with(0, rows.outputs[0])
    node.attributes.add(ir.AttrInt64("axis", 1))
    back = ir.node("Reshape", [y, extents.outputs[0]], outputs=[result], name=f"{name}/unflat")
    graph.insert_before(node, [rows, extents])
    graph.insert_after(node, back)
