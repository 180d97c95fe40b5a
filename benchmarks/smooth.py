"""A smooth twin is the same model without kinks; float32 and float64 must agree closely on it.

Near a kink one ReLU or arg-max that differs in float32 changes a gradient by 1e-3 and more, which
would hide a wrong rule. A twin has no kinks: every call of such a function in its ``forward``, as a
module or as a functional, is replaced by a smooth function of the same kind.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Operators that a twin's differentiated part may not have.
KINKED = {
    "Abs", "Clip", "GlobalMaxPool", "HardSigmoid", "HardSwish", "LeakyRelu", "Max", "MaxPool",
    "Min", "PRelu", "ReduceMax", "ReduceMin", "Relu", "Sign", "ThresholdedRelu",
}  # fmt: skip


def _relu6(x: torch.Tensor) -> torch.Tensor:
    """Bent where ReLU6 is, straight between: a sigmoid amplifies rounding in a deep MobileNet."""
    return 6.0 * torch.tanh(functional.silu(x) / 6.0)


def _hardtanh(x: torch.Tensor, min_val: float = -1.0, max_val: float = 1.0) -> torch.Tensor:
    if (min_val, max_val) == (0.0, 6.0):
        return _relu6(x)
    middle, half = (max_val + min_val) / 2, (max_val - min_val) / 2
    return middle + half * torch.tanh((x - middle) / half)


def _leaky_relu(x: torch.Tensor, negative_slope: float = 0.01) -> torch.Tensor:
    return negative_slope * x + (1 - negative_slope) * functional.silu(x)


def _max_pool2d(
    x: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> torch.Tensor:
    """The average over the same windows, padding not counted."""
    if return_indices or dilation not in (1, (1, 1), [1, 1]):
        raise ValueError("a max pool with indices or dilation has no smooth twin")
    return functional.avg_pool2d(
        x, kernel_size, stride or None, padding, ceil_mode, count_include_pad=False
    )


def _amax(x: torch.Tensor, dim: Any = (), keepdim: bool = False) -> torch.Tensor:
    """The average, as for max pools."""
    return x.mean(dim, keepdim) if dim != () else x.mean()


def _max(x: torch.Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The average along an axis; the maximum of all elements or of two tensors stays one."""
    if not isinstance(dim, int):
        return torch.max(x) if dim is None else torch.max(x, dim)
    return x.mean(dim, keepdim), x.argmax(dim, keepdim)


def _normalize(
    x: torch.Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> torch.Tensor:
    """The norm plus a small number, which avoids 0 without the kink of a clamp.

    The number is not ``eps`` itself: PyTorch's exporter treats a sum with 1e-12 as one with 0.
    """
    return x / (x.norm(p, dim, keepdim=True) + max(eps, 1e-6))


def _pad(
    x: torch.Tensor, pad: Any, mode: str = "constant", value: float | None = None
) -> torch.Tensor:
    """Padding for a max pool repeats the border instead: its -inf must not reach an average."""
    if value == -torch.inf:
        mode, value = "replicate", None
    return functional.pad(x, pad, mode, value)


_RELUS = (
    functional.relu, functional.relu_, torch.relu, torch.relu_, torch.Tensor.relu,
    torch.Tensor.relu_,
)  # fmt: skip
_EXCHANGED: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys(_RELUS, functional.silu),
    functional.relu6: _relu6,
    functional.hardtanh: _hardtanh,
    functional.hardswish: functional.silu,
    functional.hardsigmoid: torch.sigmoid,
    functional.leaky_relu: _leaky_relu,
    functional.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    functional.normalize: _normalize,
    functional.pad: _pad,
    torch.amax: _amax,
    torch.Tensor.amax: _amax,
    torch.max: _max,
    torch.Tensor.max: _max,
}
# Nowhere negative, as ReLU: for attention that divides by a sum of such values.
_POSITIVE = dict.fromkeys(_RELUS, functional.softplus)


class _Smooth(TorchFunctionMode):
    """Replaces calls of a kinked function by its smooth one, and counts them."""

    def __init__(self, *, positive: bool = False) -> None:
        super().__init__()
        self.exchanged = 0
        self._smooth = _EXCHANGED | (_POSITIVE if positive else {})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A pad alone is no kink: where it matters, a max pool follows.
        self.exchanged += func in _EXCHANGED and func is not functional.pad
        named = dict(kwargs or {})
        if func in _EXCHANGED:
            named.pop("inplace", None)
        smooth: Any = self._smooth.get(func, func)
        return smooth(*args, **named)


def is_kinked(model: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a forward pass calls anything that a twin would exchange."""
    with torch.no_grad(), _Smooth() as mode:
        copy.deepcopy(model).eval()(torch.zeros(2, *shape))
    return mode.exchanged > 0


def smooth_twin(model: nn.Module, *, positive: bool = False) -> nn.Module:
    """A copy of ``model`` that computes with smooth functions, wherever it is run or traced.

    Args:
        model: The model.
        positive: Exchange ReLU for a function that is nowhere negative.
    """
    twin = copy.deepcopy(model)
    kind = type(twin)

    @functools.wraps(kind.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _Smooth(positive=positive):
            return kind.forward(self, *args, **kwargs)

    # A class of its own rather than an attribute: copies of the twin stay twins.
    twin.__class__ = type(f"Smooth{kind.__name__}", (kind,), {"forward": forward})
    return twin
