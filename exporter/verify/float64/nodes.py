"""This module evaluates single nodes in float64, for finite differences.

ONNX Runtime computes an operator in float64 where it has the kernel: that is asked, not listed. It
has none for convolutions and most pools. Those are linear in their data, so from the point where
the differences are taken ONNX Runtime's float32 kernel computes the *difference* of their result,
to float32's relative precision. What remains runs in the ONNX reference evaluator, whose loops in
Python can be slow.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]
# From the values that a node reads, by name, to those that it gives.
Evaluate: TypeAlias = Callable[[Mapping[str, Any]], list[Any]]
NARROW = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_THREADS = min(4, os.cpu_count() or 1)
# Linear in their first input while the others stay, but for a constant.
_LINEAR = frozenset(
    {"Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool", "Resize", "Upsample",
     "GridSample", "Col2Im"}
)  # fmt: skip
_NEW_MODES = 20  # the opset of GridSample's
_SMALL = 64  # numbers; kernels want shapes and axes as constants


class Erf(OpRun):
    """The error function in the precision of its argument; the evaluator's is float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


class GlobalMaxPool(OpRun):
    """The maximum over all axes behind the channels; the evaluator's is for images only."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def wide(value: Any) -> Any:
    """Narrower floats as float64, anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    narrow = ir.DataType.from_numpy(value.dtype) in NARROW
    return value.astype(np.float64) if narrow else value


class Float64Node:
    """One node, evaluated again and again with other values of what it reads.

    The first call is at the point where the differences are taken.

    Args:
        node: The node, with its attributes as they are in the model.
        opsets: Version of each domain.
        ir_version: The model's.
        varying: Names of its inputs that change from call to call.
        guard: Bounds what may take long.
        sessions: Those of equal nodes, by their bytes; new ones are added.
    """

    def __init__(
        self, node: ir.Node, opsets: Mapping[str, int], ir_version: int, varying: set[str],
        guard: Callable[[Callable[[], Any]], Any], sessions: dict[bytes, Any],
    ) -> None:  # fmt: skip
        self.op_type, self.outputs = node.op_type, [value.name or "" for value in node.outputs]
        self._narrow, opsets = _with_kernel(ir.serde.serialize_node(node), opsets)
        self._proto = _widened(self._narrow)
        self._opsets, self._ir_version = tuple(sorted(opsets.items())), ir_version
        self._varying, self._guard, self._sessions = varying, guard, sessions
        self._chosen: Evaluate | None = None
        self.slow = False  # whether the reference evaluator runs it

    def __call__(self, values: Mapping[str, Any]) -> list[Any]:
        """What the node gives, in order."""
        if self._chosen is not None:
            return self._chosen(values)
        for make in (self._by_kernel, self._by_difference):
            evaluate = make(values)
            if evaluate is None:
                continue
            try:
                found = evaluate(values)
            except Exception:
                continue
            self._chosen = evaluate
            return found
        self._chosen, self.slow = self._by_reference(), True
        return self._chosen(values)

    def _by_kernel(self, values: Mapping[str, Any]) -> Evaluate | None:
        """ONNX Runtime in float64."""
        return self._session(self._proto, values, np.float64)

    def _by_difference(self, values: Mapping[str, Any]) -> Evaluate | None:
        """ONNX Runtime's float32 kernel for the difference from the first call."""
        data = self._proto.input[0] if self._proto.input else ""
        if self.op_type not in _LINEAR or self._varying & {*self._proto.input} != {data}:
            return None
        kernel = self._session(self._narrow, values, np.float32)
        if kernel is None:
            return None
        point = values[data]
        at_point = [wide(one) for one in kernel(values)]
        constant = [wide(one) for one in kernel({**values, data: np.zeros_like(point)})]

        def evaluate(now: Mapping[str, Any]) -> list[Any]:
            difference = now[data] - point
            size = float(np.abs(difference).max(initial=0.0))
            if not size or not np.isfinite(size):
                return [one + size for one in at_point]
            scale = 2.0 ** math.frexp(size)[1]  # a power of two changes no digit
            moved = kernel({**now, data: difference / scale})
            return [
                start + scale * (wide(one) - none)
                for start, one, none in zip(at_point, moved, constant, strict=True)
            ]

        return evaluate

    def _by_reference(self) -> Evaluate:
        """The ONNX reference evaluator."""
        names = _read(self._proto)
        own: list[type[OpRun]] = [Erf, GlobalMaxPool]
        graph = helper.make_graph(
            [self._proto], "node",
            [helper.make_empty_tensor_value_info(name) for name in names],
            [helper.make_empty_tensor_value_info(name) for name in self._proto.output if name],
        )  # fmt: skip
        evaluator = ReferenceEvaluator(_model(graph, self._opsets, self._ir_version), new_ops=own)

        def evaluate(values: Mapping[str, Any]) -> list[Any]:
            feeds = {name: values[name] for name in names}
            found = iter(self._guard(lambda: evaluator.run(None, feeds)))
            return [next(found) if name else None for name in self._proto.output]

        return evaluate

    def _session(
        self, proto: onnx.NodeProto, values: Mapping[str, Any], dtype: type[np.floating[Any]]
    ) -> Evaluate | None:
        """The node in ONNX Runtime with floats of one type; None where it cannot run it."""
        names = _read(proto)
        if not all(isinstance(values[name], np.ndarray) for name in names):
            return None  # sequences
        graph = onnx.GraphProto(name="node", node=[proto])
        for name in names:
            value = _as_type(values[name], dtype)
            fixed = name not in self._varying and value.dtype.kind in "iub"
            if fixed and value.size <= _SMALL:
                graph.initializer.append(numpy_helper.from_array(value, name))
            else:
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                graph.input.append(helper.make_tensor_value_info(name, kind, None))
        outputs = [name for name in proto.output if name]
        graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        fed = [one.name for one in graph.input]
        renamed, first = _canonical(graph)
        data = _model(renamed, self._opsets, self._ir_version).SerializeToString(deterministic=True)
        session = self._sessions.setdefault(data, None) or _open(data)
        self._sessions[data] = session
        if session is None:
            return None

        def evaluate(now: Mapping[str, Any]) -> list[Any]:
            feeds = {first[name]: _as_type(now[name], dtype) for name in fed}
            found = iter(session.run([first[name] for name in outputs], feeds))
            return [next(found) if name else None for name in proto.output]

        return evaluate


def _with_kernel(
    proto: onnx.NodeProto, opsets: Mapping[str, int]
) -> tuple[onnx.NodeProto, Mapping[str, int]]:
    """A node that ONNX Runtime has a float64 kernel for in a later opset, as it is written there.

    That is GridSample, whose modes were renamed; the reference evaluator knows the new names only.
    """
    if proto.op_type != "GridSample" or opsets.get("", 0) >= _NEW_MODES:
        return proto, opsets
    for attribute in proto.attribute:
        if attribute.name == "mode":
            attribute.s = {b"bilinear": b"linear", b"bicubic": b"cubic"}.get(
                attribute.s, attribute.s
            )
    return proto, {**opsets, "": _NEW_MODES}


def _as_type(value: Array, dtype: type[np.floating[Any]]) -> Array:
    """Floats in one type, anything else as it is; ONNX Runtime wants contiguous rows."""
    value = np.ascontiguousarray(value).reshape(value.shape)
    return value.astype(dtype, copy=False) if value.dtype.kind == "f" else value


def _read(proto: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those of outer values in its subgraphs included."""
    names = dict.fromkeys(name for name in proto.input if name)
    for attribute in proto.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {one.name for one in (*graph.input, *graph.initializer)}
            own |= {name for node in graph.node for name in node.output}
            inner = [name for node in graph.node for name in _read(node)]
            inner += [one.name for one in graph.output]
            names.update(dict.fromkeys(name for name in inner if name and name not in own))
    return list(names)


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


def _model(
    graph: onnx.GraphProto, opsets: Sequence[tuple[str, int]], ir_version: int
) -> onnx.ModelProto:
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


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


def _widened(node: onnx.NodeProto) -> onnx.NodeProto:
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


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in NARROW:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _widen_graph(graph: onnx.GraphProto) -> None:
    """The body of a control-flow node in float64."""
    del graph.value_info[:]
    nodes = [_widened(node) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in NARROW:
            value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
