"""Whether the places of a map are where the picture's places are.

A layer whose output is [N, h * w, C] or [N, h, w, C] need not keep the order of the picture: Hiera
works on tokens sorted by windows. A map laid out row by row would look fine and be wrong. So a few
places are asked which part of the picture they depend on most.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..runtime.spec import Layer
from .errors import LayerError
from .modules import layer_of
from .reference import channel_first

_PROBES = 9  # places asked
_LARGEST_COLOURS = 4
_TINY = 1e-30
_WRONG = 0.25  # places in order reach 0.7 and more, sorted ones less than 0.1


def check_order(module: nn.Module, inputs: Sequence[Any], layers: Sequence[Layer]) -> None:
    """Refuse layers whose places lie elsewhere in the picture.

    Most places should depend on their own neighbourhood, compared with what other places do, about
    as much as on any other one. Where attention has spread all dependence nothing is concluded.

    Args:
        module: The model; a copy is run.
        inputs: Its example inputs; the first with four axes is the picture.
        layers: Target layers; those that are channel-first are left out, convolutions have no
            order but the picture's.

    Raises:
        LayerError: Most places of a layer depend on another part of the picture.
    """
    for layer in layers:
        if layer.layout != "channels_first" and len(layer.grid) == 2:
            near = _nearness(module, inputs, layer)
            if near is not None and near < _WRONG:
                raise LayerError(
                    f"layer {layer.name!r} holds its places in another order than the picture: "
                    f"its {' x '.join(map(str, layer.grid))} tokens depend mostly on other parts "
                    "of it; choose a layer after they are put back in order, or before they are "
                    "sorted"
                )


def _nearness(module: nn.Module, inputs: Sequence[Any], layer: Layer) -> float | None:
    """Median over places: dependence on their own neighbourhood, over the largest on any."""
    place = next(
        (i for i, x in enumerate(inputs) if isinstance(x, torch.Tensor) and x.dim() == 4), None
    )
    if place is None:
        return None
    noise = torch.Generator().manual_seed(0)
    shape = inputs[place].shape
    # Two, since BatchNorm's backward pass on the CPU is wrong for one picture whose cotangent lies
    # channels-last (PyTorch 2.15).
    picture = torch.randn((2, *shape[1:]), generator=noise).requires_grad_(True)
    arguments = [
        torch.cat([x[:1], x[-1:]]) if isinstance(x, torch.Tensor) and x.dim() else x for x in inputs
    ]
    arguments[place] = picture
    found: list[torch.Tensor] = []
    watched = copy.deepcopy(module).float().eval().requires_grad_(False)

    def watch(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        found.append(output)

    layer_of(watched, layer.name).register_forward_hook(watch)
    with torch.enable_grad():
        watched(*arguments)
    values = channel_first(found[-1], layer, 1)
    height, width = values.shape[2:]
    weights = torch.randn(values.shape[1], generator=noise)
    channels_last = shape[1] > _LARGEST_COLOURS >= shape[3]
    steps = torch.linspace(0, height * width - 1, min(_PROBES, height * width)).round().long()
    energies: list[torch.Tensor] = []
    for step in steps.tolist():
        row, column = divmod(step, width)
        probe = (values[0, :, row, column] * weights).sum()
        (slope,) = torch.autograd.grad(probe, picture, retain_graph=True)
        energy = slope[:1].square().sum(3 if channels_last else 1)
        cells = functional.adaptive_avg_pool2d(energy[None], (height, width))
        energies.append(functional.avg_pool2d(cells, 3, 1, 1)[0, 0].flatten())
    table = torch.stack(energies)
    table = table / table.sum(1, keepdim=True).clamp_min(_TINY)
    # What all places depend on alike (XCiT's attention is over channels) tells nothing.
    apart = table / table.mean(0).clamp_min(_TINY)
    return max(_own_share(table, steps), _own_share(apart, steps))


def _own_share(table: torch.Tensor, places: torch.Tensor) -> float:
    """Median over rows of the value at the row's place, over the row's largest."""
    own = table.gather(1, places[:, None])[:, 0]
    return float((own / table.amax(1).clamp_min(_TINY)).median())
