"""This module puts what only explanations need behind an If, so that K = 0 costs nothing.

A detector's artifact has several hundred small nodes that come to nothing when no box is asked
about, and still take a tenth of a small model's time. Behind the If they do not run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import onnx_ir as ir

from ...runtime.spec import Spec
from ..graph.queries import ancestors

_NAME = "grad/asked"  # of the If


def run_only_if_asked(graph: ir.Graph, spec: Spec, count: ir.Value) -> None:
    """Move the nodes that only gradients and maps need into a branch that runs if K is not 0.

    The other branch gives the same outputs with K = 0. Names and types of all outputs stay.

    Args:
        graph: The artifact's graph.
        spec: Its metadata.
        count: int64 [1], K.
    """
    values = {value.name: value for value in graph.outputs}
    empty = dict(_shapes(spec))
    asked = [values[name] for name in empty if name in values]
    rest = [value for value in graph.outputs if value not in asked]
    kept = set(chain.from_iterable(map(ancestors, [*rest, count])))
    needed = set(chain.from_iterable(map(ancestors, asked)))
    inside = [
        node for node in graph
        if not any(value in kept for value in node.outputs)
        and any(value in needed for value in node.outputs)
    ]  # fmt: skip
    if not inside or any(value in kept for value in asked):
        return
    shapes = [empty[value.name or ""] for value in asked]
    nothing = _empty_branch(asked, [(skipped, values[source]) for skipped, source in shapes])
    graph.remove(inside, safe=False)
    given = [ir.Value(name=one.name, type=one.type, shape=one.shape) for one in asked]
    for place, value in enumerate(graph.outputs):
        if value in asked:
            graph.outputs[place] = given[asked.index(value)]
    for value in asked:
        value.name = f"{value.name}/asked"
    explained = ir.Graph([], asked, nodes=inside, name="explained")
    zero = ir.Value(name="grad/asked/none", const_value=ir.tensor([0], name="grad/asked/none"))
    graph.register_initializer(zero)
    some = ir.node("Greater", [count, zero], name="grad/asked/some")
    flag = ir.node("Squeeze", [some.outputs[0]], name="grad/asked/flag")
    for node in (some, flag):
        node.outputs[0].name, node.outputs[0].type = node.name, ir.TensorType(ir.DataType.BOOL)
    branches = [ir.AttrGraph("then_branch", explained), ir.AttrGraph("else_branch", nothing)]
    graph.extend([some, flag])
    graph.append(ir.Node("", "If", flag.outputs, branches, outputs=given, name=_NAME))
    graph.sort()


def _shapes(spec: Spec) -> Iterator[tuple[str, tuple[int, str]]]:
    """The outputs that only explanations need, and whose extents they have beside K.

    Of those activations a number of axes is left out after the batch: that of the channels.
    """
    for layer in spec.layers:
        yield layer.gradients, (0, layer.activations)
        for heatmap in layer.baked.values():
            yield heatmap, (1, layer.activations)
    if spec.detector is not None:
        yield spec.detector.heatmap, (1, spec.layers[0].activations)


def _empty_branch(asked: Sequence[ir.Value], shapes: Sequence[tuple[int, ir.Value]]) -> ir.Graph:
    """A branch that gives [N, 0, ...]; see `_shapes`."""
    nodes: list[ir.Node] = []
    outputs: list[ir.Value] = []

    def add(op_type: str, *inputs: ir.Value, **attributes: object) -> ir.Value:
        made = ir.convenience.convert_attributes(attributes)  # pyright: ignore[reportArgumentType]
        node = ir.Node("", op_type, inputs, made, name=f"grad/asked/empty_{len(nodes)}")
        node.outputs[0].name = node.name
        nodes.append(node)
        return node.outputs[0]

    none = add("Constant", value=ir.tensor([0], name="none"))
    for value, (skipped, source) in zip(asked, shapes, strict=True):
        batch = add("Shape", source, start=0, end=1)
        extents = add("Shape", source, start=1 + skipped)
        shape = add("Concat", batch, none, extents, axis=0)
        zero = ir.tensor([0], dtype=value.dtype, name="zero")
        made = add("ConstantOfShape", shape, value=zero)
        made.type, made.shape = value.type, value.shape
        outputs.append(made)
    return ir.Graph([], outputs, nodes=nodes, name="nothing")


def run_always(graph: ir.Graph) -> None:
    """Undo `run_only_if_asked`, for tools that do not look into branches."""
    node = next((node for node in graph if node.name == _NAME), None)
    if node is None:
        return
    branch = node.attributes["then_branch"].as_graph()
    made, outside = list(branch.outputs), list(node.outputs)
    inside = list(branch)
    branch.outputs.clear()
    branch.remove(inside)
    for value, plain in zip(outside, made, strict=True):
        name, value.name = value.name, None
        plain.name = name
        graph.outputs[list(graph.outputs).index(value)] = plain
    graph.remove(node)
    graph.extend(inside)
    graph.sort()
