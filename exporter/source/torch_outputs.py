"""These functions find the tensors in a PyTorch model's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.utils._pytree as pytree


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
