"""`write_out` rewrites nodes whose extents ONNX's shape inference misjudges.

ONNX Runtime infers shapes when it loads a file, as ONNX does, and refuses the file where nodes that
know better meet. What it computes is another matter (seen in ONNX 1.23, ONNX Runtime 1.32).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from .attributes import ints_attribute
from .emitter import Dim, constant_of, dims_of

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


def pool_padding(extent: int, kernel: int, stride: int, upper: bool) -> tuple[int, int]:
    """Padding of a pool's ``auto_pad=SAME_*``, as ONNX Runtime computes it.

    Dilations do not count. Where the stride leaves cells out, the padding is negative and crops.
    """
    total = (-(-extent // stride) - 1) * stride + kernel - extent
    before = int((total if upper else total + 1) / 2)  # rounded towards 0
    return before, total - before


def may_be_misjudged(node: ir.Node) -> bool:
    """Whether ONNX's shape inference may give other extents than ONNX Runtime.

    The two round the length of a Resize by fractions differently. Only ONNX counts a pool's last
    window that would begin past the input, and dilations in the padding of ``auto_pad``.
    """
    if node.op_type == "Resize":
        given = node.inputs[2] if len(node.inputs) > 2 else None
        scales = constant_of(given)
        whole = scales is not None and all(float(one).is_integer() for one in scales.tolist())
        return given is not None and not whole
    automatic = node.attributes.get_string("auto_pad", "").startswith("SAME")
    rounded = automatic or bool(node.attributes.get_int("ceil_mode", 0))
    return node.op_type in POOLS and rounded


def write_out(graph: ir.Graph) -> None:
    """Write such nodes so that ONNX infers the extents that are known; they compute the same.

    A pool gets its padding in numbers and rounds down where its windows end; a Resize gets the
    sizes that make its scales.
    """
    for node in [node for node in graph if may_be_misjudged(node)]:
        x, y = node.inputs[0], node.outputs[0]
        if x is None or x.shape is None or y.shape is None:
            continue
        before, after = dims_of(x), dims_of(y)
        if node.op_type == "Resize":
            _by_sizes(graph, node, before, after)
        elif all(isinstance(extent, int) for extent in (*before[2:], *after[2:])):
            _pool_by_numbers(node, np.array(before[2:], int), np.array(after[2:], int))


def _pool_by_numbers(node: ir.Node, before: Ints, after: Ints) -> None:
    kernel = ints_attribute(node, "kernel_shape") or []
    strides = ints_attribute(node, "strides") or [1] * len(kernel)
    dilations = ints_attribute(node, "dilations") or [1] * len(kernel)
    pads = ints_attribute(node, "pads") or [0] * 2 * len(kernel)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        upper = auto == "SAME_UPPER"
        pairs = [pool_padding(*one, upper) for one in zip(before, kernel, strides, strict=True)]
        pads = [low for low, _ in pairs] + [high for _, high in pairs]
        if min(pads) < 0 or all(d == 1 for d in dilations):
            return  # ONNX knows no negative padding
        _set_pads(node, pads)
    low, high = np.reshape(pads, (2, -1))
    reach = np.multiply(dilations, np.subtract(kernel, 1)) + 1
    rounded_up = -(-(before + low + high - reach) // strides) + 1
    if not node.attributes.get_int("ceil_mode", 0) or np.array_equal(rounded_up, after):
        return
    # The padding with which as many windows fit, rounded down: more where the last one is cut off.
    enough = np.maximum((after - 1) * strides + reach - before - low, high)
    counted = node.attributes.get_int("count_include_pad", 0) and np.any(enough > high)
    if not counted and np.all(enough < kernel):
        node.attributes.add(ir.AttrInt64("ceil_mode", 0))
        _set_pads(node, [*low, *enough])


def _set_pads(node: ir.Node, pads: Iterable[int]) -> None:
    node.attributes.add(ir.AttrString("auto_pad", "NOTSET"))
    node.attributes.add(ir.AttrInt64s("pads", [int(width) for width in pads]))


def _by_sizes(graph: ir.Graph, node: ir.Node, before: Sequence[Dim], after: Sequence[Dim]) -> None:
    """Resize misjudged axes to sizes, which give the same scales; others in a second node.

    Resizing runs along one axis after the other, but a node where no extent changes copies.
    """
    scales = constant_of(node.inputs[2])
    axes = ints_attribute(node, "axes") or list(range(len(before)))
    coordinates = node.attributes.get_string("coordinate_transformation_mode", "")
    if scales is None or coordinates == "tf_crop_and_resize":
        return
    sizes, rest = dict[int, int](), dict[int, float]()
    for axis, scale in zip(axes, scales.tolist(), strict=True):
        extent, count = before[axis], after[axis]
        if scale == 1:
            continue
        if not isinstance(extent, int) or not isinstance(count, int):
            return
        if math.floor(extent * scale) != count:
            if np.float32(count) / np.float32(extent) != np.float32(scale):
                return
            sizes[axis % len(before)] = count
        elif extent == count:
            return
        else:
            rest[axis % len(before)] = scale
    if not sizes:
        return
    y = node.outputs[0]
    if rest:
        between = [sizes.get(axis, extent) for axis, extent in enumerate(before)]
        value = ir.Value(name=f"{y.name}/between", type=y.type, shape=ir.Shape(between))
        others = [one for one in node.attributes.values() if one.name != "axes"]
        first = ir.Node("", "Resize", [node.inputs[0]], others, outputs=[value])
        first.name = value.name
        graph.insert_before(node, first)
        node.replace_input_with(0, value)
        node.replace_input_with(2, _constant(graph, y, "scales", np.array([*rest.values()], "f4")))
        node.attributes.add(ir.AttrInt64s("axes", [*rest]))
        node = first
    node.resize_inputs(4)
    node.replace_input_with(2, None)
    node.replace_input_with(3, _constant(graph, y, "sizes", np.array([*sizes.values()], "i8")))
    node.attributes.add(ir.AttrInt64s("axes", [*sizes]))


def _constant(
    graph: ir.Graph, y: ir.Value, role: str, array: np.ndarray[Any, np.dtype[Any]]
) -> ir.Value:
    name = f"{y.name}/{role}"
    tensor = ir.tensor(array, name=name)
    kind, shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
    value = ir.Value(name=name, type=kind, shape=shape, const_value=tensor)
    graph.register_initializer(value)
    return value
