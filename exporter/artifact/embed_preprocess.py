"""`embed` puts the training transform into the graph, so that every language feeds plain images.

The steps are those of ``runtime/inputs/preprocess.py``, in ONNX's operators: resize with Pillow's
antialiased filters or OpenCV's, crop with padding where the image does not reach, normalise.
Sizes are computed at run time, with the same integers. `verify` compares the nodes with the
runtime's transform.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ...runtime.spec import Layer, Preprocess, Spec
from ..errors import CaptureError
from ..graph.emitter import Emitter
from .embed_sizes import Pair, crop_bounds, pads, places_under, resized, size_of

_UINT8, _FLOAT, _INT64 = ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.INT64
LAST_NODE = "grad/pixels/input"
"""Name of the node that gives what the model took before; it has no other name in the record."""
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow and OpenCV


def check_embeddable(transform: object) -> None:
    """Raise CaptureError where there is nothing to embed."""
    if transform is None:
        raise CaptureError(
            "embed_preprocess needs a training transform; give preprocess=..., or --mean and --std"
        )


def embed(model: ir.Model, spec: Spec) -> Spec:
    """Put the transform before the model's input, and return the metadata that describes it.

    The input takes uint8 RGB [N, height, width, 3] from then on.
    """
    transform = spec.preprocess
    assert transform is not None
    graph = model.graph
    before = next(value for value in graph.inputs if value.name == transform.input)
    emit = Emitter(graph)
    batch = None if before.shape is None else before.shape[0]
    pixels = _input(emit.unique("pixels"), batch)
    own = list(graph)
    row = _steps(emit, pixels, transform, before.dtype or _FLOAT)
    made = [node for node in graph if node not in set(own)]
    row.name, after = before.name, row
    before.name = None
    before.replace_all_uses_with(after, replace_graph_outputs=True)
    graph.inputs[list(graph.inputs).index(before)] = pixels
    # Nodes must come before those that read their results.
    for node in made:
        graph.remove(node)
    graph.insert_before(own[0], made)
    after.shape = before.shape
    layers = [_with_input(layer, after.name) for layer in spec.layers]
    if layers != spec.layers:
        graph.outputs.append(after)
    inside = replace(transform, input=pixels.name or "", embedded=True)
    return replace(spec, layers=layers, preprocess=inside)


def _with_input(layer: Layer, name: str | None) -> Layer:
    """A head that takes what the model takes finds it among the artifact's outputs."""
    head = layer.head
    if head is None or name is None or name not in head.inputs.values():
        return layer
    return replace(layer, head=replace(head, outputs=[*(head.outputs or []), name]))


def _input(name: str, batch: Any) -> ir.Value:
    shape = ir.Shape([batch, "pixels_height", "pixels_width", 3])
    return ir.Value(name=name, type=ir.TensorType(_UINT8), shape=shape)


def _steps(emit: Emitter, pixels: ir.Value, transform: Preprocess, dtype: ir.DataType) -> ir.Value:
    """The nodes from the images to the model's input."""
    with emit.scope("pixels"):
        planes = emit.op("Transpose", pixels, role="planes", perm=[0, 3, 1, 2])
        if transform.is_grey:
            planes = _grey(emit, planes)
        elif transform.channels == "bgr":
            planes = emit.op("Gather", planes, [2, 1, 0], role="bgr", axis=1)
        before = size_of(emit, pixels)
        after = resized(emit, transform, before)
        if transform.resize is not None:
            planes = _resize(emit, planes, transform, before, after)
        if transform.is_grey and len(transform.mean) > 1:
            planes = emit.op("Concat", *[planes] * len(transform.mean), role="colours", axis=1)
        planes = _crop(emit, planes, transform, after)
        return _normalise(emit, planes, transform, dtype)


def _grey(emit: Emitter, planes: ir.Value) -> ir.Value:
    """Luma, rounded to whole levels as Pillow and OpenCV do."""
    values = emit.cast(planes, _FLOAT, "levels")
    weights = emit.constant(np.array(_LUMA, np.float32)[None, :, None, None])
    luma = emit.op("ReduceSum", emit.op("Mul", values, weights), [1], keepdims=1)
    return emit.cast(emit.op("Round", luma), _UINT8, "grey")


def _resize(
    emit: Emitter, planes: ir.Value, transform: Preprocess, before: Pair, after: Pair
) -> ir.Value:
    if transform.interpolation == "nearest":
        for axis, length, size in zip((2, 3), before, after, strict=True):
            planes = emit.op("Gather", planes, places_under(emit, length, size), axis=axis)
        return planes
    attributes: dict[str, Any] = {"mode": "linear"}
    if transform.interpolation == "bicubic":
        attributes = {"mode": "cubic", "cubic_coeff_a": -0.5}
    leading = emit.op("Shape", planes, role="leading", shape=[2], start=0, end=2)
    sizes = emit.vector([leading, *after])
    if transform.antialias is False:
        return _resize_plainly(emit, planes, sizes, attributes)
    return emit.op(
        "Resize", planes, None, None, sizes, antialias=1, exclude_outside=1, **attributes
    )


def _resize_plainly(
    emit: Emitter, planes: ir.Value, sizes: ir.Value, attributes: dict[str, Any]
) -> ir.Value:
    """OpenCV's resize, which rounds; ONNX Runtime's cuts uint8 to whole levels."""
    if "cubic_coeff_a" in attributes:
        attributes = {**attributes, "cubic_coeff_a": -0.75}
    levels = emit.cast(planes, _FLOAT, "levels")
    found = emit.op("Round", emit.op("Resize", levels, None, None, sizes, **attributes))
    return emit.cast(emit.op("Clip", found, 0.0, 255.0), _UINT8, "resized")


def _crop(emit: Emitter, planes: ir.Value, transform: Preprocess, size: Pair) -> ir.Value:
    """The crop, with padding around it where the image is smaller."""
    around = pads(emit, transform, size)
    if around is not None:
        # Pad has one value for all channels.
        levels = transform.fill or [0]
        one = len(set(levels)) == 1
        parts = [planes] if one else [
            emit.op("Gather", planes, [channel], axis=1) for channel in range(len(levels))
        ]  # fmt: skip
        padded = [
            emit.op(
                "Pad", part, around, emit.constant(np.uint8(level)), role="padded", mode="constant"
            )
            for part, level in zip(parts, levels, strict=False)
        ]
        planes = padded[0] if one else emit.op("Concat", *padded, role="padded", axis=1)
    starts, ends = crop_bounds(emit, transform, size)
    return emit.op("Slice", planes, starts, ends, [2, 3], role="crop")


def _normalise(
    emit: Emitter, planes: ir.Value, transform: Preprocess, dtype: ir.DataType
) -> ir.Value:
    mean, std = (np.array(v)[:, None, None] for v in (transform.mean, transform.std))
    values = emit.cast(planes, _FLOAT, "values")
    scaled = emit.op("Mul", values, emit.constant((transform.scale / std).astype(np.float32)))
    values = emit.op("Sub", scaled, emit.constant((mean / std).astype(np.float32)))
    if transform.layout == "nhwc":
        values = emit.op("Transpose", values, perm=[0, 2, 3, 1])
    # A node of its own, whose output can take the name of the model's input.
    return emit.op("Cast", values, role="input", to=int(dtype))
