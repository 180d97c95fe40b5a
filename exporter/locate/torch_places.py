"""This module runs a PyTorch module to show where the places of its layers stand; see `places`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import nn

from ..source.layer_taps import joined_name, maps_in, read_name
from ..source.own_copy import own_copy
from ..source.torch_inputs import ModuleInputs
from ..source.torch_layers import named_layers
from .exchange import measure
from .places import Array, Dependence


def measure_places(
    module: nn.Module, inputs: ModuleInputs, paths: Collection[str]
) -> dict[str, Dependence]:
    """Exchange parts of the example input, and collect what changes in layers' outputs.

    Args:
        module: The module; a copy is run.
        inputs: Its example inputs. Of floats only the shapes matter.
        paths: Layers by name; tensors of one that returns several have `joined_name`.

    Returns:
        What changes in each layer's output, of its last call; empty if the module does not run.
    """
    watched = own_copy(module)
    tensors = {place: x for place, x in enumerate(inputs.tensors) if x.dim()}
    if not tensors:
        return {}
    chosen = max(tensors, key=lambda i: (tensors[i].is_floating_point(), tensors[i].numel()))
    image = tensors[chosen]
    generator = np.random.default_rng(0)
    start = image.numpy()
    if image.is_floating_point():
        start = generator.standard_normal(image.shape).astype(np.float32)
    found: dict[str, Array] = {}

    def store(path: str, output: object) -> None:
        maps = maps_in(output)
        for place, tensor in maps:
            name = joined_name(path, None, place if len(maps) > 1 else ())
            if name in paths:
                found[name] = tensor[:1].detach().float().cpu().numpy()

    def run(changed: Array) -> dict[str, Array]:
        found.clear()
        given = list(inputs.tensors)
        given[chosen] = torch.from_numpy(changed).to(image.dtype)
        with torch.no_grad():
            inputs.with_tensors(given).call(watched)
        return dict(found)

    modules = {read_name(watched, name)[1].path for name in paths}
    for path, layer in named_layers(watched).items():
        if path in modules:
            layer.register_forward_hook(lambda _, __, output, path=path: store(path, output))
    try:
        return measure(run, start, generator)
    except Exception:  # what a model's own code raises has no base of its own
        return {}
