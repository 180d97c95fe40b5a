"""`suit_webgpu` rewrites what ONNX Runtime's WebGPU gets wrong; seen in its plug-in 0.4.

- Kernels fail on tensors without elements ("Invalid dispatch group size"), and a plain prediction,
  K = 0, is full of them. So the graph explains class 0 then, and its outputs leave it out.
- A Conv is silently wrong whose channels are a multiple of 3 and not of 4, more than 3, if it makes
  a multiple of 4. Channels of zeros go before it.
"""

from __future__ import annotations

import onnx_ir as ir

from .emitter import Emitter, dims_of

_K = 1  # the axis of classes, of inputs and outputs


def suit_webgpu(graph: ir.Graph, emit: Emitter, requests: list[ir.Value]) -> None:
    """Rewrite the nodes of a graph, the model's own as well.

    Args:
        graph: The graph.
        emit: Where nodes are added.
        requests: The inputs that have an axis of classes.
    """
    _pad_channels(graph, emit)
    _explain_one_at_least(graph, emit, requests)
    graph.sort()


def _pad_channels(graph: ir.Graph, emit: Emitter) -> None:
    """Add channels of zeros before each Conv that would be wrong."""
    for node in [one for one in graph if one.op_type == "Conv"]:
        source, weight = node.inputs[:2]
        if source is None or weight is None or weight.shape is None:
            continue
        made, given, *kernel = dims_of(weight)
        grouped = node.attributes.get_int("group", 1) > 1
        if grouped or not isinstance(made, int) or not isinstance(given, int):
            continue
        if set(kernel) == {1} or made % 4 or given % 3 or not given % 4 or given == 3:
            continue
        rank = len(kernel) + 2
        pads = [0] * (rank + 1) + [-given % 4] + [0] * (rank - 2)
        for place, value in enumerate((source, weight)):
            padded = emit.op("Pad", value, pads, role="channels")
            padded.type = value.type
            node.replace_input_with(place, padded)


def _explain_one_at_least(graph: ir.Graph, emit: Emitter, requests: list[ir.Value]) -> None:
    """Pad what is asked for with a class if nothing is, and cut the outputs."""
    count = emit.classes
    for value in requests:
        readers = [(use.node, use.idx) for use in value.uses()]
        rank = len(dims_of(value))
        # Not the node by which the graph knows K: that one reads what is padded.
        whole = emit.op("Shape", value, role="asked", shape=[rank], start=0)
        extent = emit.op("Slice", whole, [_K], [_K + 1], role="asked", shape=[1])
        empty = emit.cast(emit.op("Equal", extent, [0], role="empty"), ir.DataType.INT64, "empty")
        pads = emit.vector([*[0] * (rank + _K), empty, *[0] * (rank - _K - 1)])
        padded = emit.op("Pad", value, pads, role="asked")
        padded.type, padded.shape = value.type, value.shape
        for node, place in readers:
            if node is not whole.producer():
                node.replace_input_with(place, padded)
        count = emit.op("Mul", count, emit.op("Sub", [1], empty, role="any"), role="count")
    for place, value in enumerate(graph.outputs):
        if value.shape is None or len(value.shape) <= _K or dims_of(value)[_K] != "K":
            continue
        name, value.name = value.name, emit.unique(f"{value.name}/padded")
        cut = emit.op("Slice", value, [0], count, [_K], role="asked")
        cut.name, cut.type, cut.shape = name, value.type, value.shape
        value.shape = ir.Shape([dims_of(value)[0], None, *dims_of(value)[_K + 1 :]])
        graph.outputs[place] = cut
