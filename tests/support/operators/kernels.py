"""Which provider of ONNX Runtime has a kernel for a node: the table, and what a graph needs of it.

The table, ``tests/data/kernels.json``, is what ONNX Runtime's builds list themselves
(`benchmarks.kernels`). The WebAssembly build has the CPU's kernels: all 901 cases of opset 18 that
there were ran in onnxruntime-web 1.30.0 and gave what they give on the CPU.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx
from onnx import TensorProto, defs, shape_inference

from support.paths import DATA


@dataclass(frozen=True)
class Need:
    """An operator in one of its forms, on tensors of certain types.

    Attributes:
        op_type: Operator of the default domain.
        since: Opset that its form is from.
        types: Type by name: of a parameter, and of each type variable of the form.
    """

    op_type: str
    since: int
    types: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        kinds = ", ".join(sorted({kind for _, kind in self.types}))
        return f"{self.op_type}-{self.since}({kinds})"


@cache
def table() -> dict[str, dict[str, Any]]:
    """Kernels by provider; see `benchmarks.kernels`."""
    path = DATA / "kernels.json"
    return json.loads(path.read_text())


def has_kernel(provider: str, need: Need) -> bool:
    """Whether a provider runs this form on these types.

    As ONNX Runtime looks for kernels: one without a last opset serves the form that it names only,
    for a newer form may mean something else.
    """
    return serves(table()[provider]["kernels"].get(need.op_type, []), need)


def serves(rows: Sequence[Sequence[Any]], need: Need) -> bool:
    """Whether one of an operator's rows of kernels is for a need."""
    given = dict(need.types)
    for first, last, types in rows:
        fits = need.since == first if last is None else first <= need.since <= last
        if fits and all(given.get(name, kinds[0]) in kinds for name, kinds in types.items()):
            return True
    return False


def needs(model: onnx.ModelProto, names: Collection[str]) -> set[Need]:
    """What the nodes called ``names`` need, and those of their subgraphs."""
    return set().union(*(need for name, need in needs_by_node(model).items() if name in names))


def needs_by_node(model: onnx.ModelProto) -> dict[str, set[Need]]:
    """What each node needs, with its subgraphs, by its name."""
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    opset = next(one.version for one in model.opset_import if not one.domain)
    kinds = _kinds(graph)
    return {node.name: _needed(node, kinds, opset) for node in graph.node}


def _kinds(graph: onnx.GraphProto) -> dict[str, int]:
    kinds = {i.name: i.data_type for i in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kinds[value.name] = value.type.tensor_type.elem_type
    return kinds


def _needed(node: onnx.NodeProto, kinds: dict[str, int], opset: int) -> set[Need]:
    found = {_need(node, kinds, opset)}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            inner = {**kinds, **_kinds(attribute.g)}
            for one in attribute.g.node:
                found |= _needed(one, inner, opset)
    return found


def _need(node: onnx.NodeProto, kinds: dict[str, int], opset: int) -> Need:
    assert not node.domain
    schema = defs.get_schema(node.op_type, opset)
    types: set[tuple[str, str]] = set()
    for parameters, values in ((schema.inputs, node.input), (schema.outputs, node.output)):
        for place, value in enumerate(values):
            if value:
                # The last parameter may take any number of values.
                parameter = parameters[min(place, len(parameters) - 1)]
                kind = TensorProto.DataType.Name(kinds[value]).lower()
                types |= {(parameter.name, kind), (parameter.type_str, kind)}
    return Need(node.op_type, schema.since_version, frozenset(types))


SHAPES = "shape arithmetic, which ONNX Runtime does on the CPU whatever runs the rest"
NEITHER = "the layer itself has none either"
UNLISTED = (
    "CUDA's rows of the table are older than its integers of 8 and 16 bits; ONNX Runtime's "
    "docs/OperatorKernels.md lists it"
)
NEWER = "the layer itself has none either; artifacts are opset 18 by default"
PAIRED = "the gradient of Sinh or Cosh, which have none either"
# What CUDA has no kernel for, with the reason why that is right.
KNOWN = {
    "Cast-13(int32, int8)": UNLISTED,
    "Cast-13(int32, uint8)": UNLISTED,
    "Cast-23(int32, int8)": UNLISTED,
    "Cast-23(int32, uint8)": UNLISTED,
    "Cast-23(int16, int32)": UNLISTED,
    "Cast-23(int32, uint16)": UNLISTED,
    "MaxPool-12(int64, int8)": UNLISTED,
    "MaxPool-22(int64, int8)": NEWER,
    "MaxPool-22(float, int64)": NEWER,
    "ReduceProd-18(int64)": SHAPES,
    "AffineGrid-20(float, int64)": NEITHER,
    "Det-11(float)": NEITHER,
    "Det-22(float)": NEITHER,
    "DFT-20(float, int64)": NEITHER,
    "Cosh-9(float)": PAIRED,
    "Cosh-22(float)": PAIRED,
    "Sinh-9(float)": PAIRED,
    "Sinh-22(float)": PAIRED,
}


def without_kernel(required: Collection[Need]) -> dict[str, list[str]]:
    """What each provider lacks a kernel for, but for what is `KNOWN`."""
    found: dict[str, list[str]] = {}
    for provider in table():
        lacking = {str(need) for need in required if not has_kernel(provider, need)}
        lacking -= KNOWN.keys() if provider == "CUDAExecutionProvider" else set[str]()
        if lacking:
            found[provider] = sorted(lacking)
    return found
