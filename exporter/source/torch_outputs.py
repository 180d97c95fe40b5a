"""These functions find the tensors in a PyTorch model's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree

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
