"""`write_out` rewrites nodes whose extents ONNX's shape inference misjudges.

ONNX Runtime infers shapes when it loads a file, as ONNX does, and refuses the file where nodes that
know better meet. What it computes is another matter (seen in ONNX 1.23, ONNX Runtime 1.32).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from .attributes import ints_attribute
from .emitter import Dim, constant_of, dims_of

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_CROP = "tf_crop_and_resize"
POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


def pool_padding(extent: int, kernel: int, stride: int, upper: bool) -> tuple[int, int]:
    """Padding of a pool's ``auto_pad=SAME_*``, as ONNX Runtime computes it.

    Dilations do not count. Where the stride leaves cells out, the padding is negative and crops.
    """
    return halves((-(-extent // stride) - 1) * stride + kernel - extent, upper)


def halves(total: int, upper: bool) -> tuple[int, int]:
    """Padding at both ends; the odd cell is at the upper end, or at the lower one."""
    before = int((total if upper else total + 1) / 2)  # rounded towards 0
    return before, total - before


def may_be_misjudged(node: ir.Node) -> bool:
    """Whether ONNX's shape inference may give other extents than ONNX Runtime.

    The two round the length of a Resize by fractions differently. Only ONNX counts a pool's last
    window that would begin past the input, and dilations in the padding of ``auto_pad``. Only ONNX
    Runtime has a window that is longer than the input, and takes the ``output_padding`` of a
    ConvTranspose off its automatic padding.
    """
    if node.op_type == "Resize":
        given = node.inputs[2] if len(node.inputs) > 2 else None
        scales = constant_of(given)
        whole = scales is not None and all(float(one).is_integer() for one in scales.tolist())
        return given is not None and not whole
    automatic = node.attributes.get_string("auto_pad", "").startswith("SAME")
    if node.op_type == "ConvTranspose":
        return automatic and any(ints_attribute(node, "output_padding") or [])
    dilated = any(gap != 1 for gap in ints_attribute(node, "dilations") or [])
    rounded = bool(node.attributes.get_int("ceil_mode", 0))
    return node.op_type in POOLS and (automatic or dilated or rounded)


def write_out(graph: ir.Graph) -> None:
    """Write such nodes so that ONNX infers the extents that are known; they compute the same.

    A pool gets its padding in numbers and rounds down where its windows end; a Resize gets the
    sizes that make its scales. Where an axis needs what another does not bear, there are two nodes.
    """
    for node in [node for node in graph if may_be_misjudged(node)]:
        x, y = node.inputs[0], node.outputs[0]
        if x is None or x.shape is None or y.shape is None:
            continue
        before, after = dims_of(x), dims_of(y)
        if node.op_type == "Resize":
            _by_sizes(graph, node, before, after)
        elif not all(isinstance(extent, int) for extent in (*before[2:], *after[2:])):
            continue
        elif node.op_type == "ConvTranspose":
            _transposed_by_numbers(node, np.array(before[2:], int), np.array(after[2:], int))
        else:
            _pool_by_numbers(graph, node, np.array(before[2:], int), np.array(after[2:], int))


def _transposed_by_numbers(node: ir.Node, before: Ints, after: Ints) -> None:
    """Padding in numbers, as ONNX Runtime distributes it: an odd cell above for SAME_UPPER only."""
    weights = node.inputs[1]
    kernel = ints_attribute(node, "kernel_shape") or (dims_of(weights)[2:] if weights else [])
    if not all(isinstance(extent, int) for extent in kernel):
        return
    ones = [1] * len(before)
    strides = np.array(ints_attribute(node, "strides") or ones)
    reach = np.array(ints_attribute(node, "dilations") or ones) * (np.array(kernel, int) - 1) + 1
    beyond = np.array(ints_attribute(node, "output_padding") or [0] * len(before))
    total = (before - 1) * strides + reach + beyond - after
    low = (
        total // 2 if node.attributes.get_string("auto_pad", "") == "SAME_UPPER" else -(-total // 2)
    )
    node.attributes.pop("auto_pad", None)
    node.attributes["pads"] = ir.AttrInt64s("pads", [int(n) for n in (*low, *(total - low))])


def _pool_by_numbers(graph: ir.Graph, node: ir.Node, before: Ints, after: Ints) -> None:
    """Padding in numbers, rounded down: as much as the windows need that are counted so.

    Where that is not possible for all axes, those that are rounded down get a node of their own.
    Where windows begin behind the first cells, these are cut off first.
    """
    kernel = np.array(ints_attribute(node, "kernel_shape") or [])
    ones = [1] * len(kernel)
    strides = np.array(ints_attribute(node, "strides") or ones)
    dilations = np.array(ints_attribute(node, "dilations") or ones)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    pads = ints_attribute(node, "pads") if auto == "NOTSET" else None
    low, high = np.reshape(pads or [0] * 2 * len(kernel), (2, -1))
    reach = dilations * (kernel - 1) + 1
    if auto.startswith("SAME"):
        upper = auto == "SAME_UPPER"
        pairs = [pool_padding(*one, upper) for one in zip(before, kernel, strides, strict=True)]
        low, high = np.transpose(pairs)
        judged = all(dilations == 1) and not node.attributes.get_int("ceil_mode", 0)
    else:
        steps = (before + low + high - reach) / strides
        up = bool(node.attributes.get_int("ceil_mode", 0))
        judged = np.array_equal((np.ceil(steps) if up else np.floor(steps)) + 1, after)
    # Windows start behind what negative padding crops; AveragePool does not read beyond it, either.
    ends = (high < 0) & (dilations > 1) & (node.op_type == "AveragePool")
    first, last = np.maximum(-low, 0), before + np.where(ends, high, 0)
    cropped = bool(np.any(first > 0) or np.any(ends))
    if judged or (cropped and len(node.outputs) > 1):  # Indices are places in the whole input
        return
    before, low, high = last - first, np.maximum(low, 0), np.maximum(high, 0)
    down = (before + low + high - reach) // strides + 1 == after
    # Padding of ceil_mode does not count, and ONNX Runtime takes less than the kernel's size.
    enough = np.maximum((after - 1) * strides + reach - before - low, high)
    counted = bool(node.attributes.get_int("count_include_pad", 0)) and np.any(enough > high)
    exact = (before + low + enough - reach) // strides + 1 == after
    at_once = bool(np.all(exact & (enough < kernel))) and not counted
    if not at_once and not (len(node.outputs) == 1 and np.any(down) and np.all(exact)):
        return
    if cropped:
        _cut(graph, node, first, last)
    if at_once:
        _set(node, kernel, strides, dilations, (low, enough), ceil=False)
    else:
        # The axes of the last one first: ties of a MaxPool are taken row by row.
        for inner, part in ((True, down == down[-1]), (False, down != down[-1])):
            at = _before(graph, node) if inner else node
            widths = np.where(part, low, 0), np.where(part, high, 0)
            ceil = not down[part][0]
            size, step, gap = (np.where(part, one, 1) for one in (kernel, strides, dilations))
            _set(at, size, step, gap, widths, ceil=ceil)
            if inner:
                dims = dims_of(node.outputs[0])
                dims[2:] = [int(n) for n in np.where(part, after, before)]
                at.outputs[0].shape = ir.Shape(dims)


def _cut(graph: ir.Graph, node: ir.Node, first: Ints, last: Ints) -> None:
    """Give a pool the cells of each spatial axis from the first up to the last, exclusive."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    numbers = {"starts": first, "ends": last, "axes": np.arange(2, 2 + len(first))}
    given = [
        _constant(graph, f"{y.name}/{name}", np.asarray(array, np.int64))
        for name, array in numbers.items()
    ]
    dims = [*dims_of(x)[:2], *(int(n) for n in last - first)]
    value = ir.Value(name=f"{y.name}/cut", type=x.type, shape=ir.Shape(dims))
    made = ir.Node("", "Slice", [x, *given], outputs=[value], name=value.name)
    graph.insert_before(node, made)
    node.replace_input_with(0, value)


def _set(
    node: ir.Node, kernel: Ints, strides: Ints, dilations: Ints, pads: tuple[Ints, Ints], *,
    ceil: bool,
) -> None:  # fmt: skip
    node.attributes.add(ir.AttrString("auto_pad", "NOTSET"))
    given = {"kernel_shape": kernel, "strides": strides, "pads": np.concatenate(pads)}
    if any(dilations != 1) or "dilations" in node.attributes:
        given["dilations"] = dilations
    for name, numbers in given.items():
        node.attributes.add(ir.AttrInt64s(name, [int(number) for number in numbers]))
    if ceil or "ceil_mode" in node.attributes:
        node.attributes.add(ir.AttrInt64("ceil_mode", int(ceil)))


def _before(graph: ir.Graph, node: ir.Node) -> ir.Node:
    """A node of the same kind that gives the node its input."""
    y = node.outputs[0]
    value = ir.Value(name=f"{y.name}/between", type=y.type)
    attributes = [*node.attributes.values()]
    first = ir.Node("", node.op_type, [node.inputs[0]], attributes, outputs=[value])
    first.name = value.name
    graph.insert_before(node, first)
    node.replace_input_with(0, value)
    return first


def _by_sizes(graph: ir.Graph, node: ir.Node, before: Sequence[Dim], after: Sequence[Dim]) -> None:
    """Resize misjudged axes to sizes, which give the same scales; others in a second node.

    Resizing runs along one axis after the other, but a node where no extent changes copies.
    """
    scales = constant_of(node.inputs[2])
    axes = [a % len(before) for a in ints_attribute(node, "axes") or range(len(before))]
    crops = node.attributes.get_string("coordinate_transformation_mode", "") == _CROP
    roi = constant_of(node.inputs[1])
    if scales is None or (crops and roi is None):
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
            sizes[axis] = count
        elif extent == count:
            return
        else:
            rest[axis] = scale
    if not sizes:
        return

    def limit(at: ir.Node, chosen: Sequence[int]) -> None:
        at.attributes.add(ir.AttrInt64s("axes", chosen))
        region = None
        if crops and roi is not None:
            part = roi.reshape(2, -1)[:, [axes.index(axis) for axis in chosen]].reshape(-1)
            region = _constant(graph, f"{at.outputs[0].name}/roi", part)
        at.replace_input_with(1, region)

    y = node.outputs[0]
    if rest:
        first = _before(graph, node)
        dims = [sizes.get(axis, extent) for axis, extent in enumerate(before)]
        first.outputs[0].shape = ir.Shape(dims)
        scale = _constant(graph, f"{y.name}/scales", np.array([*rest.values()], np.float32))
        node.replace_input_with(2, scale)
        limit(node, [*rest])
        node = first
    node.resize_inputs(4)
    node.replace_input_with(2, None)
    counts = np.array([*sizes.values()], np.int64)
    node.replace_input_with(3, _constant(graph, f"{y.name}/sizes", counts))
    limit(node, [*sizes])


def _constant(graph: ir.Graph, name: str, array: np.ndarray[Any, np.dtype[Any]]) -> ir.Value:
    tensor = ir.tensor(array, name=name)
    kind, shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
    value = ir.Value(name=name, type=kind, shape=shape, const_value=tensor)
    graph.register_initializer(value)
    return value
