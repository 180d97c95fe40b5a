"""`condition` sets weights so that every branch of an untrained model has a signal and a gradient.

After initialisation a model's normalisation layers do nothing, its layer scales are 1e-6, its last
normalisations and biases may be zero, and signals vanish or explode. A wrong rule would not be
found there. This module gives such parameters random values and fits the statistics to the signal.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

_BATCHES, _BATCH = 3, 8


def condition(model: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """Condition ``model`` in place and return it in eval mode.

    Args:
        model: Any module that takes one float tensor.
        shape: Shape of one input without the batch axis.
        seed: Of all that is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    with torch.no_grad():
        for module in model.modules():
            _fill(module, generator)
        _calibrate(model, shape, generator)
    return model


def _fill(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the module's own parameters anew where they are constant, as norms and scales are."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.numel() > 1 and bool((parameter != parameter.flatten()[0]).any()):
            continue
        noise = torch.rand(parameter.shape, generator=generator) - 0.5
        if "bias" in name:
            # Enough to shift some units across their kink, not to drown the signal.
            parameter.copy_(0.4 * noise)
        else:
            # Scales: near 1 for norms, near 0.5 for layer scales, which sit on a residual branch,
            # and near 0.25 for norms that start at zero, as some do there: LeViT, which has no
            # others, is chaotic with more.
            zero = not bool(parameter.any())
            size = 0.5 if "weight" not in name else 0.25 if zero else 1.0
            parameter.copy_(size * (1.0 + noise))


def _calibrate(model: nn.Module, shape: tuple[int, ...], generator: torch.Generator) -> None:
    """Let BatchNorm see a few small batches; dropout and the like stay off."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over the batches
        norm.train()
    for _ in range(_BATCHES if norms else 0):
        model(torch.randn((_BATCH, *shape), generator=generator))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
