"""`bounds_apart` keeps bounds apart that PyTorch treats differently where a number lies on them.

PyTorch's optimiser merges a Max, a Min, a Clip or a Relu with the next one. A clamp by tensors
shares the gradient with its bound there, a clamp by numbers does not, and one node has one rule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import onnx_ir as ir

from ..graph.torch_notes import halves_at_bounds

_BOUNDS = frozenset({"Clip", "Max", "Min", "Relu"})
_GUARD = ("graftcam", "Apart")  # no operator: it is gone before anything runs


@contextlib.contextmanager
def bounds_apart(graph: ir.Graph) -> Generator[None]:
    """While the context lasts, nodes stand between such bounds that no optimiser knows."""
    for node in [node for node in graph if node.op_type in _BOUNDS]:
        value = node.outputs[0]
        for use in [*value.uses()]:
            after = use.node
            if after.op_type in _BOUNDS and halves_at_bounds(node) != halves_at_bounds(after):
                guard = ir.node(_GUARD[1], [value], domain=_GUARD[0])
                guard.outputs[0].type, guard.outputs[0].shape = value.type, value.shape
                after.replace_input_with(use.idx, guard.outputs[0])
                graph.insert_after(node, guard)
    yield
    for node in [node for node in graph if (node.domain, node.op_type) == _GUARD]:
        (before,) = node.inputs
        for use in [*node.outputs[0].uses()]:
            use.node.replace_input_with(use.idx, before)
        graph.remove(node, safe=True)
