"""`own_copy` copies a module for one run: no run changes the user's module or another's state.

A module may keep what it computes: the anchors of the last image size, features that a hook stores.
PyTorch's exporter runs it on tensors without values, and a stored one breaks every later run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import nn

from ..errors import CaptureError, first_line
from .torch_layers import named_layers

_DEEPEST = 4  # containers inside containers in a module's attributes


def own_copy(module: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """Return a copy on the CPU in eval mode, whose parameters require no gradient.

    Parameters share their values with the original's; all other tensors are copied.

    Args:
        module: Any module.
        dtype: Type of its floating point numbers; None: as they are.

    Raises:
        CaptureError: It holds something that cannot be copied.
    """
    tensors = {id(tensor): tensor for tensor in _tensors(module)}
    memo: dict[int, Any] = {
        key: made
        for key, tensor in tensors.items()
        if (made := _detached(tensor, dtype)) is not None
    }
    try:
        copied = copy.deepcopy(module, memo).eval()
    except Exception as error:
        raise CaptureError(
            f"the model cannot be copied ({first_line(error)}), and it is run only as a copy, so "
            "that it does not change; remove what its attributes hold beside modules and tensors"
        ) from error
    if dtype is not None:
        sources = (module, *named_layers(module).values())
        parts = (copied, *named_layers(copied).values())
        for source, part in zip(sources, parts, strict=True):
            if isinstance(part, nn.RMSNorm) and part.eps is None:  # it takes that of its type
                part.eps = torch.finfo(_type_of(source)).eps
            part.to(dtype)
    return copied


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    """The tensors in attributes of all modules inside, also in lists and dicts."""
    for part in (module, *named_layers(module).values()):
        for value in vars(part).values():
            yield from _inside(value, _DEEPEST)


def _inside(value: Any, deep: int) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif deep and isinstance(value, Mapping):
        for one in cast("Mapping[Any, Any]", value).values():
            yield from _inside(one, deep - 1)
    elif deep and isinstance(value, (list, tuple, set)):
        for one in cast("list[Any]", value):
            yield from _inside(one, deep - 1)


def _detached(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor | None:
    """What a copy holds in place of a tensor; None: what PyTorch makes of it."""
    if type(tensor) not in (nn.Parameter, torch.Tensor):
        return tensor.detach().clone() if tensor.grad_fn is not None else None
    values = tensor.detach()
    if type(tensor) is nn.Parameter:
        return nn.Parameter(values.cpu(), requires_grad=False)
    values = values.clone().cpu()
    return values if dtype is None or not values.is_floating_point() else values.to(dtype)


def _type_of(module: nn.Module) -> torch.dtype:
    """Type of a module's numbers."""
    return next((x.dtype for x in module.parameters() if x.is_floating_point()), torch.float32)
