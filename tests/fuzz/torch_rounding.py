"""What PyTorch's gradient would be if its numbers were rounded otherwise.

Where two operands of a maximum are equal up to rounding, which of them is larger is chance: each
choice is right. Where they are equal exactly, PyTorch's convention counts, except for operators
that put numbers in order: PyTorch does not say which of equal ones comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from .torch_run import gradients

_TRIES = 24
_ORDERING = frozenset({"topk", "sort", "argsort", "kthvalue", "median", "mode"})
_LAST = 1e-12
# Of the generator splitmix64, as signed numbers.
_STEP, _MIXING = -7046029254386353131, ((30, -4658895280553007687), (27, -7723592293110705685))


class OtherRounding(TorchDispatchMode):
    """Rounds what operators give in float64 to float32 numbers, up or down by chance.

    A number that float32 has stays, and equal numbers are rounded alike: what is equal exactly
    remains so. Operators that put numbers in order take equal ones in any order.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        if func.__name__.partition(".")[0] in _ORDERING:
            args = (_unequal(args[0], self._seed), *args[1:])
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(one, torch.Tensor) and one.dtype == torch.float64:
                made = rounded(one, self._seed)
                if not torch.equal(made.nan_to_num(), one.nan_to_num()):
                    one.copy_(made)
        return result


def _unequal(x: torch.Tensor, seed: int) -> torch.Tensor:
    """Numbers that differ in their last digits; others keep their order."""
    draw = torch.Generator().manual_seed(seed)
    return x + _LAST * torch.rand(x.shape, generator=draw, dtype=x.dtype)


def rounded(x: torch.Tensor, seed: int) -> torch.Tensor:
    """Numbers of float32, each the next one above or below, as its own digits decide."""
    near = x.float()
    beyond = torch.where(near.double() < x, torch.inf, -torch.inf).float()
    other = torch.nextafter(near, beyond)
    digits = x.contiguous().view(torch.int64) ^ torch.tensor(seed + 1) * _STEP
    for shift, factor in _MIXING:
        digits = (digits ^ digits >> shift) * factor
    stays = (near.double() == x) | ((digits >> 40 & 1) == 0)
    return torch.where(stays, near, other).double()


def may_be(
    model: nn.Module, x: torch.Tensor, row: tuple[int, int], found: torch.Tensor, allowed: float
) -> bool:
    """Whether a gradient lies within what PyTorch gives under other roundings, number by number.

    Args:
        model: In float64.
        x: Its input, in float64.
        row: Image and class.
        found: The gradient of that score.
        allowed: By how much its numbers may be off beside.
    """
    made = list[torch.Tensor]()
    for seed in range(_TRIES):
        with OtherRounding(seed):
            made.append(gradients(model, x)[2][row])
    low, high = torch.stack(made).amin(0), torch.stack(made).amax(0)
    # A sum of many choices rarely has all of them at one end.
    beyond = (high - low) + allowed
    return bool(((found >= low - beyond) & (found <= high + beyond)).all())
