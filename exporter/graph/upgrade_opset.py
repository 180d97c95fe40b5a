"""Older ONNX files brought to opset 18."""

from __future__ import annotations

import onnx_ir as ir

from ..errors import CaptureError, first_line
from .emitter import constant_of


def converted(model: ir.Model, version: int, name: str) -> ir.Model:
    """``model`` in opset 18, by ONNX's own converter, and right where that errs.

    Up to opset 10, Upsample and Resize read place ``i`` of their result at ``i / scale``
    (asymmetric); the nearest place is the one before, in ONNX Runtime the one behind where the
    tensor shrinks. The converter (seen in onnx 1.23) leaves all this to the defaults of Resize,
    which are half pixels and rounding.

    Raises:
        CaptureError: The converter cannot do it.
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
        # The converter also takes the name away, by which a layer may be asked for.
        new.outputs[0].name = old.outputs[0].name
    return made


def _as_before(node: ir.Node) -> None:
    """Make a Resize node read its input as Upsample and Resize did up to opset 10."""
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    shrinks = scales is not None and float(scales.min()) < 1
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    node.attributes.add(ir.AttrString("nearest_mode", "ceil" if shrinks else "floor"))
