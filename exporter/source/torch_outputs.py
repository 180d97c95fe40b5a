"""These functions find the tensors in a PyTorch model's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.utils._pytree as pytree

from ..errors import ScoreError


def tensors_of(result: Any) -> list[torch.Tensor]:
    """Return all tensors in a model's result, in the order of the graph's outputs."""
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def names_of(result: Any) -> list[str] | None:
    """Return the keys of a dict of tensors; None for other results."""
    if not isinstance(result, Mapping):
        return None
    entries = cast("Mapping[object, object]", result)
    names = [str(key) for key, value in entries.items() if isinstance(value, torch.Tensor)]
    return names if len(names) == len(tensors_of(result)) else None


def score_of(
    result: Any, output: str | None = None, output_names: Sequence[str] | None = None
) -> torch.Tensor:
    """Return the tensor of class scores, chosen as `locate.find_score` does in the graph.

    Args:
        result: The model's result.
        output: The scored output's name, if it has one.
        output_names: Names of the tensors; the keys of a dict by default. None: others get their
            names from PyTorch's exporter, so that any ``output`` may be one.

    Raises:
        ScoreError: There is no such tensor.
    """
    names = output_names or names_of(result)
    named = dict(zip(names or (), tensors_of(result), strict=False))
    if output not in (None, *named) and (names or output_names is not None):
        have = f"the model has: {', '.join(named)}" if named else "none has a name: leave it out"
        raise ScoreError(f"no output is called {output!r}; {have}")
    if output in named:
        return named[output]
    found = [t for t in tensors_of(result) if t.is_floating_point() and t.dim() > 1]
    if not found:
        raise ScoreError("the model returns no [batch, classes] or [batch, classes, *positions]")
    return min(found, key=lambda tensor: tensor.dim() > 2)
