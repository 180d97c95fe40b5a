"""`converted` upgrades older ONNX files to opset 18."""

from __future__ import annotations

import onnx_ir as ir

from ..errors import CaptureError, first_line
from .emitter import constant_of


def converted(model: ir.Model, version: int, name: str) -> ir.Model:
    """Convert ``model`` to opset 18 with ONNX's own converter, and correct its errors.

    Up to opset 10, Upsample and Resize read position ``i`` of their result at ``i / scale``
    (asymmetric). The nearest position is rounded down, in ONNX Runtime up if the tensor shrinks.
    The converter (seen in onnx 1.23) uses the defaults of Resize instead, half pixels and
    rounding.

    Raises:
        CaptureError: The converter fails.
    """
    import onnx.version_converter

    before = [node for node in model.graph if node.op_type in ("Upsample", "Resize")]
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
    return made


def _as_before(node: ir.Node) -> None:
    """Set a Resize node's coordinates to those of Upsample and Resize up to opset 10."""
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    shrinks = scales is not None and float(scales.min()) < 1
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    node.attributes.add(ir.AttrString("nearest_mode", "ceil" if shrinks else "floor"))
