"""This module reads off a PyTorch module's result what it shows of scores, for `score_rules`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...runtime.settings import WEIGHTED, Score
from ..errors import ScoreError
from ..source.torch_outputs import names_of, tensors_of
from .score_rules import OutputFacts, choose_output

_ENDINGS = {
    "SoftmaxBackward0": "Softmax",
    "LogSoftmaxBackward0": "LogSoftmax",
    "SigmoidBackward0": "Sigmoid",
}
_STEPS = 5000  # nodes of the autograd graph that are read


def score_of(
    result: Any,
    score: Score,
    batch: int,
    labels: int | None = None,
    output_names: Sequence[str] | None = None,
) -> tuple[torch.Tensor, str]:
    """Return the class scores in a module's result, [N, classes, *positions], and what they are.

    They are chosen as in the graph; see `score_rules.choose_output`.

    Args:
        result: The model's result.
        score: What to explain.
        batch: Number of images.
        labels: Number of labels, if there are any.
        output_names: Names of the tensors; the keys of a dict by default. None: others get their
            names from PyTorch's exporter, so that any ``output`` may be one.

    Raises:
        ScoreError: There is no such tensor.
    """
    leaves = tensors_of(result)
    names = list(output_names or names_of(result) or ())
    if score.output is not None and score.output not in names:
        if output_names and len(output_names) != len(leaves):
            raise ScoreError(
                f"{len(output_names)} output names for {len(leaves)} outputs; give one for each"
            )
        if names or output_names is not None:
            have = (
                f"the model has: {', '.join(names)}" if names else "none has a name: leave it out"
            )
            raise ScoreError(f"no output is called {score.output!r}; {have}")
        score = Score(score.kind, None, score.activation, score.class_axis, score.class_offset)
    facts = [
        _facts(leaf, names[place] if place < len(names) else "", leaves)
        for place, leaf in enumerate(leaves)
    ]
    found = choose_output(facts, score, frozenset({batch}), labels)
    table = leaves[found.place]
    if table.dim() == 1:
        return table[:, None], found.reason
    offset = score.class_offset
    if offset is None:
        offset = _entries_before(table, found.axis)
    if found.axis != 1:
        table = table.movedim(found.axis, 1)
    return table[:, offset:] if offset and score.kind not in WEIGHTED else table, found.reason


def _entries_before(table: torch.Tensor, axis: int) -> int:
    """Entries before the classes, where only the last part of a concatenation ends in a sigmoid."""
    node: Any = table.grad_fn
    if node is None or node.name() != "CatBackward0":
        return 0
    endings = [part is not None and part.name() in _ENDINGS for part, _ in node.next_functions]
    last = node.next_functions[-1][0]
    along = _signed(node._saved_dim) % table.dim()
    if along != axis or endings != [False] * (len(endings) - 1) + [True]:
        return 0
    return table.shape[axis] - last._saved_result.shape[axis]


def _facts(leaf: torch.Tensor, name: str, leaves: Sequence[torch.Tensor]) -> OutputFacts:
    grad_fn: Any = leaf.grad_fn
    ends_in = "" if grad_fn is None else _ENDINGS.get(grad_fn.name(), "")
    axis = None
    if grad_fn is not None and ends_in in ("Softmax", "LogSoftmax"):
        axis = _signed(grad_fn._saved_dim) % leaf.dim()
    feeds = [str(i) for i, other in enumerate(leaves) if other is not leaf and _feeds(leaf, other)]
    return OutputFacts(
        name, tuple(leaf.shape), leaf.is_floating_point(), ends_in, axis, feeds=tuple(feeds)
    )


def _signed(stored: int) -> int:
    """An axis of the autograd graph, which stores those counted from the end as unsigned."""
    return stored - 2**64 if stored >= 2**63 else stored


def _feeds(leaf: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether ``other`` is computed from ``leaf``."""
    if leaf.grad_fn is None or other.grad_fn is None or other.grad_fn is leaf.grad_fn:
        return False
    seen, stack = {other.grad_fn}, [other.grad_fn]
    while stack and len(seen) < _STEPS:
        for before, _ in stack.pop().next_functions:
            if before is leaf.grad_fn:
                return True
            if before is not None and before not in seen:
                seen.add(before)
                stack.append(before)
    return False
