"""`Constants` follows operands of products back to the constants that they are computed from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import prod

from .onnx_graph import CODES, FLOATS, Node, OnnxGraph, Tensor

ADDED = "grad/"  # the names of nodes and constants that an export adds begin with it
# The inputs of each product that may be weights; a bias is none, even with two axes.
_PRODUCTS = {
    "Conv": slice(1, 2), "ConvTranspose": slice(1, 2), "DeformConv": slice(1, 2),
    "ConvInteger": slice(1, 2), "QLinearConv": slice(3, 4), "Gemm": slice(0, 2),
    "MatMul": slice(0, 2), "MatMulInteger": slice(0, 2), "QLinearMatMul": slice(0, 4, 3),
    "Einsum": slice(None), "LSTM": slice(1, 3), "GRU": slice(1, 3), "RNN": slice(1, 3),
}  # fmt: skip


class Constants:
    """What a graph computes from its constants alone.

    Attributes:
        tensors: The constants themselves, by name.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.tensors = {one.name: one for one in graph.tensors}
        self._makers: dict[str, Node] = {}
        for node in chain.from_iterable(one.all_nodes() for one in graph.nodes):
            if node.inputs and all(map(self._is_constant, filter(None, node.inputs))):
                self._makers.update(dict.fromkeys(node.outputs, node))

    def weights_of(self, node: Node) -> Iterator[str]:
        """Yield the names of the weights that a node, or one inside it, takes."""
        for one in node.all_nodes():
            if one.operator in _PRODUCTS and not one.name.startswith(ADDED):
                for operand in one.inputs[_PRODUCTS[one.operator]]:
                    if self._is_constant(operand):
                        yield from self._behind(operand)

    def _is_constant(self, name: str) -> bool:
        return name in self.tensors or name in self._makers

    def _behind(self, operand: str) -> Iterator[str]:
        """Yield the constants of two axes or more that a constant operand is computed from."""
        pending, seen = [operand], {""}
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            tensor, maker = self.tensors.get(name), self._makers.get(name)
            if tensor is not None:
                numeric = tensor.kind in FLOATS | CODES
                if numeric and tensor.place is not None and is_wide(tensor):
                    yield name
            elif maker is not None:  # of codes the scale and the zero point stay
                codes = maker.operator == "DequantizeLinear"
                pending += maker.inputs[:1] if codes else maker.inputs


def is_wide(tensor: Tensor) -> bool:
    """Whether a tensor has two axes and two elements, or more."""
    return len(tensor.dims) > 1 and prod(tensor.dims) > 1
