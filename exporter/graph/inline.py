"""`flatten` inlines functions, branches and what else a graph hides, and infers shapes."""

from __future__ import annotations

import contextlib

import onnx_ir as ir
import onnx_ir.passes.common as passes

from .constant_folding import KnownArrays
from .lift_nodes import UniqueNames, lift_nodes
from .sequences import resolve_sequences
from .unroll import unroll

_MOST_ROUNDS = 100  # each may show what the next one needs; files of exporters take a few
# ONNX infers no shape for these. Their shape is that of their first input, as for their stand-ins.
_STAND_INS = {
    "GroupNormalization": "InstanceNormalization",
    "MeanVarianceNormalization": "Identity",
}


def flatten(model: ir.Model) -> ir.Model:
    """Inline functions and every `If` whose condition is known before run time; infer shapes.

    Conditions that follow from constants and static extents are known. Branches may contain
    branches, and a shape that follows from one inlined branch may decide the next condition.
    Sequences of a known structure become their tensors, short Scans and Loops their steps.
    """
    model = passes.InlinePass()(model).model
    model = infer_shapes(model)
    for _ in range(_MOST_ROUNDS):
        if not (_take_branches(model) or resolve_sequences(model) or unroll(model)):
            break
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
    graph, known = model.graph, KnownArrays(model.opset_imports.get("", 1))
    names, taken = UniqueNames(graph), False
    for node in list(graph):
        if node.op_type == "If" and node.domain in ("", "ai.onnx") and node.inputs[0] is not None:
            condition = known.of(node.inputs[0])
            if condition is not None and condition.size == 1:
                branch = "then_branch" if condition.item() else "else_branch"
                _take(graph, node, node.attributes[branch].as_graph(), names)
                taken = True
    return taken


def _take(graph: ir.Graph, node: ir.Node, branch: ir.Graph, names: UniqueNames) -> None:
    """Replace an `If` by the nodes of one branch.

    The If's output becomes a copy of the branch's, since a branch may also return a constant.
    """
    names.release(node)
    nodes, results = lift_nodes(branch, graph, names, node.name)
    copies: list[ir.Node] = []
    for position, (result, output) in enumerate(zip(results, node.outputs, strict=True)):
        named = ir.Value(name=output.name, type=output.type or result.type, shape=output.shape)
        name = names.of(f"output_{position}", node.name, always=True)
        copies.append(ir.Node("", "Identity", [result], outputs=[named], name=name))
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [*nodes, *copies], node.outputs, [copy.outputs[0] for copy in copies]
    )
