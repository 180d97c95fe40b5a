"""This module checks that the places of a map have the order of the image's places.

A layer whose output is [N, h * w, C] or [N, h, w, C] need not keep the order of the image: Hiera
works on tokens sorted by windows. A map laid out row by row would look fine and be wrong. So the
check finds, for a few places, the part of the image that they depend on most.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ...runtime.spec import Layer
from ..errors import LayerError
from ..source.layer_taps import LayerTap
from ..source.torch_inputs import ModuleInputs
from .torch_reference import channel_first

_PROBES = 9  # places that are probed; each is a backward pass
_FIRST = (1, 4, 7)  # probed first: where they are clearly in order, the others are skipped
_LARGEST_COLOURS = 4
_TINY = 1e-30
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_WRONG = 0.25  # places in order reach 0.7 and more, sorted ones less than 0.1
_RIGHT = 0.5  # enough if only three places are probed


def check_order(module: nn.Module, inputs: ModuleInputs, layers: Sequence[Layer]) -> None:
    """Refuse layers whose places are not those of the image.

    Most places should depend on their own neighbourhood, compared with what other places do, about
    as much as on any other one. Where attention spreads all dependence, nothing is concluded.

    Args:
        module: The model; a copy is run.
        inputs: Its example inputs; the first with four axes that a layer depends on is the image.
        layers: Target layers; those that are channel-first are left out, convolutions have no
            order but the image's.

    Raises:
        LayerError: Most places of a layer depend on another part of the image.
    """
    for layer in layers:
        if layer.layout != "channels_first" and len(layer.grid) == 2:
            near = _nearness(module, inputs, layer)
            if near is not None and near < _WRONG:
                raise LayerError(
                    f"layer {layer.name!r} holds its places in another order than the image: "
                    f"its {' x '.join(map(str, layer.grid))} tokens depend mostly on other parts "
                    "of it; choose a layer after they are put back in order, or before they are "
                    "sorted"
                )


def _nearness(module: nn.Module, inputs: ModuleInputs, layer: Layer) -> float | None:
    """Median over places: dependence on their own neighbourhood, over the largest on any."""
    noise = torch.Generator().manual_seed(0)
    # Two where there is a BatchNorm: its backward pass on the CPU is wrong for one image whose
    # cotangent lies channels-last (PyTorch 2.15).
    count = 1 + any(isinstance(part, _BATCH_NORMS) for part in module.modules())
    arguments, images = list[torch.Tensor](), list[torch.Tensor]()
    for tensor in inputs.tensors:
        given = tensor
        if inputs.has_batch(tensor):
            given = torch.cat([tensor[:1], tensor[-1:]])[:count]
        if tensor.dim() == 4:
            given = torch.randn(given.shape, generator=noise).requires_grad_(True)
            images.append(given)
        arguments.append(given)
    if not images:
        return None
    found: list[torch.Tensor] = []
    watched = copy.deepcopy(module).float().eval().requires_grad_(False)
    LayerTap(watched, layer.name, found.append)
    with torch.enable_grad():
        inputs.with_tensors(arguments).call(watched)
    values = channel_first(found[-1], layer, 1)
    total = values.sum()
    for image in images:
        (slope,) = torch.autograd.grad(total, image, retain_graph=True, materialize_grads=True)
        if slope.any():
            break
    else:
        return None
    shape = image.shape
    height, width = values.shape[2:]
    weights = torch.randn(values.shape[1], generator=noise)
    channels_last = shape[1] > _LARGEST_COLOURS >= shape[3]
    steps = torch.linspace(0, height * width - 1, min(_PROBES, height * width)).round().long()

    def energy(step: int) -> torch.Tensor:
        """How much a place depends on each neighbourhood of the image."""
        row, column = divmod(step, width)
        probe = (values[0, :, row, column] * weights).sum()
        (slope,) = torch.autograd.grad(probe, image, retain_graph=True)
        spread = slope[:1].square().sum(3 if channels_last else 1)
        cells = functional.adaptive_avg_pool2d(spread[None], (height, width))
        return functional.avg_pool2d(cells, 3, 1, 1)[0, 0].flatten()

    probed: dict[int, torch.Tensor] = {}
    near = 0.0
    for order in ([i for i in _FIRST if i < len(steps)], range(len(steps))):
        probed |= {i: energy(int(steps[i])) for i in order if i not in probed}
        near = _share_of_all(torch.stack([*probed.values()]), steps[[*probed]])
        if near >= _RIGHT:
            break
    return near


def _share_of_all(table: torch.Tensor, places: torch.Tensor) -> float:
    """`_own_share` of the dependence, or of what is particular to each place if that is more."""
    table = table / table.sum(1, keepdim=True).clamp_min(_TINY)
    # What all places depend on alike (XCiT's attention is over channels) shows no order.
    apart = table / table.mean(0).clamp_min(_TINY)
    return max(_own_share(table, places), _own_share(apart, places))


def _own_share(table: torch.Tensor, places: torch.Tensor) -> float:
    """Median over rows of the value at the row's place, over the row's largest."""
    own = table.gather(1, places[:, None])[:, 0]
    return float((own / table.amax(1).clamp_min(_TINY)).median())
