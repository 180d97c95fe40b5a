"""`Kernels` opens ONNX Runtime sessions for single nodes, in float32 and in float64."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
# From the values that a node reads, by name, to those that it gives.
Evaluate: TypeAlias = Callable[[Mapping[str, Any]], list[Any]]
NARROW = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_THREADS = min(4, os.cpu_count() or 1)
_SMALL = 64  # numbers; kernels want shapes and axes as constants


def wide(value: Any) -> Any:
    """Narrower floats as float64, anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    narrow = ir.DataType.from_numpy(value.dtype) in NARROW
    return value.astype(np.float64) if narrow else value


class Kernels:
    """Sessions of one node each; equal nodes share one.

    Args:
        opsets: Version of each domain.
        ir_version: The model's.
        varying: Names of values that change from call to call.
    """

    def __init__(self, opsets: Mapping[str, int], ir_version: int, varying: set[str]) -> None:
        self.opsets, self.ir_version, self.varying = opsets, ir_version, varying
        self._sessions: dict[bytes, Any] = {}

    def model(self, graph: onnx.GraphProto, opsets: Mapping[str, int]) -> onnx.ModelProto:
        """A model of one graph."""
        imports = [helper.make_opsetid(*one) for one in sorted(opsets.items())]
        return helper.make_model(graph, opset_imports=imports, ir_version=self.ir_version)

    def evaluate(
        self, proto: onnx.NodeProto, opsets: Mapping[str, int], values: Mapping[str, Any],
        dtype: type[np.floating[Any]],
    ) -> Evaluate | None:  # fmt: skip
        """The node in ONNX Runtime with floats of one type; None where it cannot run it."""
        names = read_by(proto)
        if not all(isinstance(values[name], np.ndarray) for name in names):
            return None  # sequences
        graph = onnx.GraphProto(name="node", node=[proto])
        for name in names:
            value = _as_type(values[name], dtype)
            fixed = name not in self.varying and value.dtype.kind in "iub"
            if fixed and value.size <= _SMALL:
                graph.initializer.append(numpy_helper.from_array(value, name))
            else:
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                graph.input.append(helper.make_tensor_value_info(name, kind, None))
        outputs = [name for name in proto.output if name]
        graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        fed = [one.name for one in graph.input]
        renamed, first = _canonical(graph)
        data = self.model(renamed, opsets).SerializeToString(deterministic=True)
        if data not in self._sessions:
            self._sessions[data] = _open(data)
        session = self._sessions[data]
        if session is None:
            return None

        def evaluate(now: Mapping[str, Any]) -> list[Any]:
            feeds = {first[name]: _as_type(now[name], dtype) for name in fed}
            found = iter(session.run([first[name] for name in outputs], feeds))
            return [next(found) if name else None for name in proto.output]

        return evaluate


def read_by(proto: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those of outer values in its subgraphs included."""
    names = dict.fromkeys(name for name in proto.input if name)
    for attribute in proto.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {one.name for one in (*graph.input, *graph.initializer)}
            own |= {name for node in graph.node for name in node.output}
            inner = [name for node in graph.node for name in read_by(node)]
            inner += [one.name for one in graph.output]
            names.update(dict.fromkeys(name for name in inner if name and name not in own))
    return list(names)


def widened(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node with float64 where its attributes name or hold a narrower float type."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    for attribute in made.attribute:
        if attribute.name in ("to", "dtype") and attribute.i in NARROW:
            attribute.i = onnx.TensorProto.DOUBLE
        elif attribute.type == onnx.AttributeProto.TENSOR:
            _widen_tensor(attribute.t)
        elif made.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            number = attribute.f if attribute.name == "value_float" else [*attribute.floats]
            array = np.array(number, np.float64)
            attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(array)))
        elif attribute.type == onnx.AttributeProto.GRAPH:
            _widen_graph(attribute.g)
        for graph in attribute.graphs:
            _widen_graph(graph)
    if made.op_type == "GroupNormalization":  # its definition casts to float32 by default
        kept = [one for one in made.attribute if one.name != "stash_type"]
        del made.attribute[:]
        made.attribute.extend([*kept, helper.make_attribute("stash_type", onnx.TensorProto.DOUBLE)])
    return made


def _as_type(value: Array, dtype: type[np.floating[Any]]) -> Array:
    """Floats in one type, anything else as it is; ONNX Runtime wants contiguous rows."""
    value = np.ascontiguousarray(value).reshape(value.shape)
    return value.astype(dtype, copy=False) if value.dtype.kind == "f" else value


def _canonical(graph: onnx.GraphProto) -> tuple[onnx.GraphProto, dict[str, str]]:
    """The graph with names by place, so that equal nodes share a session; and the new names."""
    (node,) = graph.node
    names = [one.name for one in (*graph.input, *graph.initializer)] + list(node.output)
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        return graph, {name: name for name in names}  # its subgraphs read outer names
    new = {name: f"v{place}" for place, name in enumerate(dict.fromkeys(names)) if name}
    made = onnx.GraphProto()
    made.CopyFrom(graph)
    made.node[0].name = ""
    del made.node[0].metadata_props[:]
    made.node[0].doc_string = ""
    for entry in (*made.input, *made.initializer, *made.output):
        entry.name = new[entry.name]
    made.node[0].input[:] = [new.get(name, "") for name in node.input]
    made.node[0].output[:] = [new.get(name, "") for name in node.output]
    return made, new


def _open(data: bytes) -> Any:
    """A session for a model of one node, or None if ONNX Runtime has no kernel for it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = _THREADS  # each session has its own
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:
        return None


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in NARROW:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _widen_graph(graph: onnx.GraphProto) -> None:
    """The body of a control-flow node in float64."""
    del graph.value_info[:]
    nodes = [widened(node) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in NARROW:
            value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
