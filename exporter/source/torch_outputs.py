"""These functions find the tensors in a PyTorch model's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree

from ..errors import ScoreError
from .nested import Path, parts_of


def tensors_of(result: Any) -> list[torch.Tensor]:
    """Return all tensors in a model's result, in the order of the graph's outputs."""
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def names_of(result: Any) -> list[str] | None:
    """Return the keys of a dict of tensors; None for other results.

    A tensor in a dict inside has both keys, ``text.logits``; one in a list its place, ``aux_0``.
    """
    if not isinstance(result, Mapping):
        return None
    found = [(path, part) for path, part in parts_of(result) if isinstance(part, torch.Tensor)]
    if [id(part) for _, part in found] != [id(tensor) for tensor in tensors_of(result)]:
        return None  # PyTorch's exporter takes a container for a value
    return [_joined(path) for path, _ in found]


def _joined(path: Path) -> str:
    name = str(path[0])
    for key in path[1:]:
        name = f"{name}_{key}" if isinstance(key, int) else f"{name}.{key}"
    return name


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
