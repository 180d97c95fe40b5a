"""`modules_of` names values of an exported graph by the modules that return them.

A detector's target layers are found in its graph. A user knows them by the module's paths, and the
verification needs these to differentiate in PyTorch. The numbers show which value is which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import nn

from ..graph.ort_session import session_of
from ..source.layer_taps import joined_name, maps_in
from ..source.nested import Path
from ..source.own_copy import own_copy
from ..source.torch_inputs import ModuleInputs
from ..source.torch_layers import named_layers

_ALIKE = 1e-3  # relative to the largest number: another kernel rounds otherwise


@dataclass(frozen=True)
class _Match:
    """A tensor of a module that equals a value.

    Attributes:
        path: Module path.
        number: Which call of the module, from 1.
        place: Where the tensor is in what the module returned; none if it is the only map.
        whole: Whether the module returned nothing else.
    """

    path: str
    number: int
    place: Path
    whole: bool


def modules_of(
    model: ir.Model, values: Sequence[ir.Value], module: nn.Module, inputs: ModuleInputs
) -> list[str | None]:
    """The name of the layer whose output each value is; None where no module returns it.

    Of several the outermost is taken, and rather one that returns nothing else.

    Args:
        model: The exported graph.
        values: Values inside.
        module: What was exported.
        inputs: Its example inputs; noise in their shape is used, which makes layers differ.
    """
    noise = inputs.with_tensors(_noise(inputs.tensors))
    wanted = _run(model, values, noise)
    found = [list[_Match]() for _ in values]
    counts: Counter[str] = Counter()
    module = own_copy(module)

    def compare(path: str, output: object) -> None:
        counts[path] += 1
        whole = isinstance(output, torch.Tensor)
        maps = maps_in(output)
        for place, tensor in maps:
            where: Path = () if whole or len(maps) == 1 else place
            for matches, value in zip(found, wanted, strict=True):
                if _are_alike(tensor, value):
                    matches.append(_Match(path, counts[path], where, whole))

    for path, layer in named_layers(module).items():
        layer.register_forward_hook(lambda _, __, output, path=path: compare(path, output))
    with torch.no_grad():
        noise.call(module)
    return [_name(matches, counts) for matches in found]


def _name(matches: Sequence[_Match], counts: Counter[str]) -> str | None:
    if not matches:
        return None
    best = min(
        matches, key=lambda one: (not one.whole, one.path.count("."), len(one.path), one.number)
    )
    number = best.number if counts[best.path] > 1 else None
    return joined_name(best.path, number, best.place)


def _noise(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(one.shape, generator=generator).to(one.dtype) if one.is_floating_point() else one
        for one in tensors
    ]


def _run(
    model: ir.Model, values: Sequence[ir.Value], inputs: ModuleInputs
) -> list[npt.NDArray[np.generic]]:
    clone = model.clone()
    known = {value.name: value for node in clone.graph for value in node.outputs}
    clone.graph.outputs.clear()
    clone.graph.outputs.extend(known[value.name] for value in values)
    names = [value.name or "" for value in clone.graph.inputs]
    feeds = {
        name: tensor.detach().cpu().numpy()
        for name, tensor in zip(names, inputs.tensors, strict=True)
    }
    return session_of(clone, None).run(None, feeds)


def _are_alike(tensor: torch.Tensor, value: npt.NDArray[np.generic]) -> bool:
    if tuple(tensor.shape) != value.shape or not value.size:
        return False
    other = tensor.detach().float().cpu().numpy()
    scale = float(np.abs(value).max())
    return scale > 0 and float(np.abs(other - value).max()) < _ALIKE * scale
