"""`flatten` inlines functions and branches with a known condition, and infers shapes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import onnx_ir as ir
import onnx_ir.passes.common as passes

from .constant_folding import known_array
from .queries import subgraphs

# ONNX infers no shape for these. Their shape is that of their first input, as for their stand-ins.
_STAND_INS = {
    "GroupNormalization": "InstanceNormalization",
    "MeanVarianceNormalization": "Identity",
}


def flatten(model: ir.Model) -> ir.Model:
    """Inline functions and every `If` whose condition is known before run time; infer shapes.

    Conditions that follow from constants and static extents are known. Branches may contain
    branches, and a shape that follows from one inlined branch may decide the next condition.
    """
    model = passes.InlinePass()(model).model
    model = infer_shapes(model)
    while _take_branches(model):
        model = infer_shapes(model)
    return model


def infer_shapes(model: ir.Model) -> ir.Model:
    """Run ONNX shape inference, also for some operators that it does not support.

    A node for which it fails stays unchanged; the others get their shapes.
    """
    standing = [
        (node, node.op_type)
        for node in model.graph.all_nodes()
        if node.domain in ("", "ai.onnx") and node.op_type in _STAND_INS
    ]
    for node, op_type in standing:
        node.op_type = _STAND_INS[op_type]
    try:
        with contextlib.suppress(Exception):
            infer = passes.ShapeInferencePass(check_type=False, strict_mode=False)
            model = infer(model).model
    finally:
        for node, op_type in standing:
            node.op_type = op_type
    return model


def _take_branches(model: ir.Model) -> bool:
    """Inline the known branches of the top graph; return whether there were any."""
    graph, opset = model.graph, model.opset_imports.get("", 1)
    taken = False
    for node in list(graph):
        if node.op_type == "If" and node.domain in ("", "ai.onnx") and node.inputs[0] is not None:
            condition = known_array(graph, node.inputs[0], opset)
            if condition is not None and condition.size == 1:
                branch = "then_branch" if condition.item() else "else_branch"
                _take(graph, node, node.attributes[branch].as_graph())
                taken = True
    return taken


def _take(graph: ir.Graph, node: ir.Node, branch: ir.Graph) -> None:
    """Replace an `If` by the nodes of one branch.

    The If's output becomes a copy of the branch's, since a branch may also return a constant.
    """
    results, nodes = list(branch.outputs), list(branch)
    weights = list(branch.initializers.values())
    branch.outputs.clear()
    branch.remove(nodes)
    branch.initializers.clear()
    names = set(_names(graph, node))
    for inner in nodes:
        inner.name = _unique(inner.name, node, names)
    for value in [*weights, *(value for inner in nodes for value in inner.outputs)]:
        value.name = _unique(value.name, node, names)
    for value in weights:
        graph.register_initializer(value)
    copies: list[ir.Node] = []
    for position, (result, output) in enumerate(zip(results, node.outputs, strict=True)):
        named = ir.Value(name=output.name, type=output.type or result.type, shape=output.shape)
        name = _unique(f"output_{position}", node, names, always=True)
        copies.append(ir.Node("", "Identity", [result], outputs=[named], name=name))
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [*nodes, *copies], node.outputs, [copy.outputs[0] for copy in copies]
    )


def _names(graph: ir.Graph, apart: ir.Node) -> Iterator[str]:
    """Yield the names of nodes and values in a graph and its subgraphs, except node ``apart``."""
    for value in [*graph.inputs, *graph.initializers.values()]:
        yield value.name or ""
    for node in graph:
        yield node.name or ""
        yield from (value.name or "" for value in node.outputs)
        if node is not apart:
            for inner in subgraphs(node):
                yield from _names(inner, apart)


def _unique(name: str | None, node: ir.Node, names: set[str], *, always: bool = False) -> str:
    """Return ``name``, prefixed with the If's (and numbered) if the graph has it already."""
    plain, number = name or "node", 1
    candidate = f"{node.name}/{plain}" if always else plain
    while candidate in names:
        candidate = f"{node.name}/{plain}" + (f"_{number}" if number > 1 else "")
        number += 1
    names.add(candidate)
    return candidate
