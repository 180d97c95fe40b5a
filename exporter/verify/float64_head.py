"""This module evaluates part of a graph in float64, by the ONNX reference evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from .straight_through import ValuesAt, follow_lines

Array = npt.NDArray[Any]
_NARROW = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


class Erf(OpRun):
    """The error function in the precision of its argument; the evaluator's is float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


def head_in_float64(
    model: ir.Model, target: str, score: str, feeds: Mapping[str, Array], values_at: ValuesAt
) -> Callable[[Array], Array]:
    """The subgraph from ``target`` to ``score`` in float64: a function from value to score table.

    What it reads beside the target comes from ``feeds``, the graph's inputs. Quantisers become
    lines, through the codes that ``values_at`` gives; see `straight_through`.
    """
    if target == score:
        return lambda value: value
    extra = [v.name for v in model.graph.inputs if v.name and v.name in feeds and v.name != target]
    graph = ir.convenience.extract(model.graph, [target, *extra], [score])
    follow_lines(graph, model.graph, values_at)
    for node in graph.all_nodes():
        _widen_attributes(node)
        for value in node.outputs:
            value.type, value.shape = None, None
    for value in [*graph.inputs, *graph.initializers.values()]:
        if value.dtype in _NARROW:
            if value.const_value is not None:
                value.const_value = ir.tensor(_wide(value.const_value.numpy()), name=value.name)
            value.type = ir.TensorType(ir.DataType.DOUBLE)
    graph.outputs[0].type = ir.TensorType(ir.DataType.DOUBLE)
    proto = ir.to_proto(ir.Model(graph, ir_version=model.ir_version))
    reference = ReferenceEvaluator(proto, new_ops=[Erf])
    fixed = {name: _wide(feeds[name]) for name in extra}

    def head(value: Array) -> Array:
        found = reference.run(None, {**fixed, target: value})
        assert isinstance(found, list)
        return np.asarray(found[0])

    return head


def _widen_attributes(node: ir.Node) -> None:
    if node.op_type == "GroupNormalization":  # its definition casts to float32 by default
        node.attributes["stash_type"] = ir.AttrInt64("stash_type", int(ir.DataType.DOUBLE))
    for name, attribute in list(node.attributes.items()):
        if name in ("to", "dtype") and attribute.as_int() in _NARROW:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.DOUBLE))
        elif attribute.type == ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            if tensor.dtype in _NARROW:
                node.attributes[name] = ir.AttrTensor(name, ir.tensor(_wide(tensor.numpy())))


def _wide(array: Array) -> Array:
    """Narrower floats as float64, anything else as it is."""
    return array.astype(np.float64) if ir.DataType.from_numpy(array.dtype) in _NARROW else array
