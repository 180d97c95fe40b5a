"""This module finds the part of a PyTorch model that PyTorch's ONNX exporter translates wrongly.

An artifact's forward part is the exported graph, unchanged. Where its outputs are not the module's,
the values inside the graph are compared with what each layer returns, to say where they part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from ...source.nested import parts_of
from ...source.own_copy import own_copy
from ...source.torch_inputs import ModuleInputs
from ...source.torch_layers import named_layers
from ..float64.values import values_of
from ..runs.artifact import Artifact
from ..runs.inputs import random_inputs
from ..runs.running import Array, Tensors
from ..verdict.findings import Verdict

_FORWARD = ("outputs", "activations", "scores")
_ALIKE = 1e-3  # relative to the largest number: another kernel rounds otherwise
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16)


def with_exporter_fault(
    verdict: Verdict, artifact: Artifact, model: ir.Model, module: nn.Module,
    examples: ModuleInputs | Sequence[Any],
) -> Verdict:  # fmt: skip
    """Say where the exporter computes another value, if the model's own outputs are wrong.

    What follows from that value is not reported beside it.

    Args:
        verdict: The comparison of the artifact with the module.
        artifact: The artifact.
        model: The exported graph.
        module: The module.
        examples: Its example inputs.
    """
    wrong = [one for one in verdict.failures if one.check in _FORWARD]
    place = _wrong_place(artifact, model, module, examples) if wrong else ""
    if not place:
        return verdict
    reason = (
        f"{wrong[0].reason}: PyTorch's ONNX exporter computes another value at {place}; write that "
        "part with other operators, or export with another version of PyTorch"
    )
    others = [one for one in verdict.findings if one.status != "fail" or one.check == "runs"]
    return replace(verdict, findings=[replace(wrong[0], reason=reason), *others])


def _wrong_place(
    artifact: Artifact, model: ir.Model, module: nn.Module, examples: ModuleInputs | Sequence[Any]
) -> str:
    """The layer at which graph and module part; empty if that is not clear."""
    try:
        return _first_parted(artifact, model, module, examples)
    except Exception:  # of the model or the runtime: the verdict stands without the place
        return ""


def _first_parted(
    artifact: Artifact, model: ir.Model, module: nn.Module, examples: ModuleInputs | Sequence[Any]
) -> str:
    """The same, if everything can be run."""
    feeds = artifact.source_feeds(random_inputs(artifact, examples)(artifact.batch or 1, 0, 0))
    given = ModuleInputs.of(examples).with_tensors([torch.from_numpy(x) for x in feeds.values()])
    copied = own_copy(module)
    watched = _Layers(copied, _values_inside(artifact, model, feeds))
    with torch.no_grad():
        given.call(copied)
    return watched.where()


def _values_inside(artifact: Artifact, model: ir.Model, feeds: Tensors) -> list[Array]:
    """The inputs, and every float that the model's own part computes."""
    inputs = [value for value in model.graph.inputs if value.name in feeds]
    ends = [*artifact.outputs, *(layer.value for layer in artifact.spec.layers)]
    own = ir.convenience.extract(model.graph, inputs, [name for name in ends if name not in feeds])
    values = (value for node in own for value in node.outputs)
    names = [value.name for value in values if value.name and value.dtype in _FLOATS]
    return [*feeds.values(), *values_of(artifact, model, feeds, names).values()]


class _Layers:
    """Compares what the layers of a module return, in a forward pass, with values of a graph.

    Args:
        module: The module, which is watched from now on.
        values: The values.
    """

    def __init__(self, module: nn.Module, values: Iterable[Array]) -> None:
        self._by_size: dict[int, list[Array]] = {}
        for value in values:
            self._by_size.setdefault(value.size, []).append(value)
        # Layers whose inputs are in the graph and whose output is not, by the tensor's address.
        self._parted: dict[int, tuple[str, str]] = {}
        self._kept: list[Any] = []  # so that no two tensors have one address
        for path, layer in [*named_layers(module).items(), ("", module)]:
            layer.register_forward_hook(partial(self._compare, path), with_kwargs=True)

    def where(self) -> str:
        """The first of them whose part of the graph no later value confirms."""
        return next((what for _, what in self._parted.values()), "")

    def _compare(self, path: str, layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        given, made = _floats((args, kwargs)), _floats(output)
        self._kept += [given, made]
        if made and all(map(self._knows, made)):
            # What it is made of was merged with it, such as a convolution with its batch norm.
            before = {id(one) for one in given}
            self._parted = {
                key: (inner, what)
                for key, (inner, what) in self._parted.items()
                if key not in before and not inner.startswith(f"{path}.")
            }
        elif all(map(self._knows, given)):
            what = f"{path!r} ({type(layer).__name__})" if path else "the model's own forward"
            for one in made:
                self._parted.setdefault(id(one), (path, what))

    def _knows(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is a value of the graph, in whatever shape."""
        flat = tensor.detach().double().numpy().reshape(-1)
        scale = float(np.abs(flat).max(initial=0.0))
        return not scale or any(
            float(np.abs(flat - value.reshape(-1)).max()) < _ALIKE * scale
            for value in self._by_size.get(flat.size, [])
        )


def _floats(value: Any) -> list[torch.Tensor]:
    parts = (part for _, part in parts_of(value))
    return [one for one in parts if isinstance(one, torch.Tensor) and one.is_floating_point()]
