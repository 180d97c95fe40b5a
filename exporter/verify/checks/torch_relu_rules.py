"""This module gives ReLU other backward rules in PyTorch, as the reference of guided outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# From the cotangent of a ReLU's output, and that output, to the cotangent of its input.
Rule = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def guided(grad: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Springenberg et al. 2015: what is positive, where the forward pass let something through."""
    return grad * (grad > 0) * (output > 0)


def deconvnet(grad: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Zeiler and Fergus 2014: what is positive."""
    return grad * (grad > 0)


class ReluRule(TorchFunctionMode):
    """Inside, each ReLU's backward pass follows ``rule``, modules and functions alike."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").split(".")[0]  # an exported program's: relu.default
        if name not in ("relu", "relu_"):
            return func(*args, **kwargs)
        source: torch.Tensor = args[0] if args else next(iter(kwargs.values()))
        result: torch.Tensor = _Relu.apply(source, self.rule)
        inside = name == "relu_" or kwargs.get("inplace") or args[1:2] == (True,)
        return source.copy_(result) if inside else result


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        source, ctx.rule = args
        result = source.clamp(min=0)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (output,) = ctx.saved_tensors
        return ctx.rule(grad_outputs[0], output), None
