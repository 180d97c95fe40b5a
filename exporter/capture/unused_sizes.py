"""PyTorch sometimes records questions about sizes that nothing reads; here they are removed.

While PyTorch decomposes operators it asks such things as "is the batch 1?", and the first export of
a process can record such a question with a check of the answer (an LSTM's zeros, torch 2.14) where
later ones have it cached. The exporter to ONNX drops the check and keeps the question. Nothing
reads it, but it counts in the numbers of the ONNX graph's values, so that the same module would
give other bytes.
"""

from __future__ import annotations

import operator
from collections.abc import Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch.export import ExportedProgram

_QUESTIONS = frozenset(
    {operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, torch.sym_not}
)
# Checks of the answer when the program runs, which the exporter to ONNX leaves out itself.
_CHECKS = frozenset({torch.ops.aten._assert_scalar.default})


@contextmanager
def without_unused_sizes() -> Generator[None]:
    """Let `ExportedProgram.run_decompositions` leave out questions about sizes without a reader."""
    whole = ExportedProgram.run_decompositions

    @wraps(whole)
    def decomposed(*args: Any, **options: Any) -> ExportedProgram:
        program = whole(*args, **options)
        remove_unused_sizes(program.graph)
        return program

    ExportedProgram.run_decompositions = decomposed
    try:
        yield
    finally:
        ExportedProgram.run_decompositions = whole


def remove_unused_sizes(graph: torch.fx.Graph) -> None:
    """Remove comparisons of sizes that no node reads, beside the checks of their answers."""
    for node in reversed(list(graph.nodes)):
        if node.op != "call_function" or node.users:
            continue
        if node.target in _QUESTIONS or node.target in _CHECKS:
            graph.erase_node(node)
