"""`Programs` keeps what PyTorch's exporter made of a module, for exporting it a second time.

A full verification exports the source again and compares the bytes. PyTorch's own part takes most
of an export's time, and would be the same: so it is taken from the first export, and all that
graftcam does before and after it is done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from ...runtime.settings import TorchExport
from ..graph.external_data import exceeds_message

if TYPE_CHECKING:
    from torch import nn

    from ..source.torch_inputs import ModuleInputs

Key: TypeAlias = tuple[object, ...]
"""What decides a program; see `key_of`."""


@dataclass(frozen=True)
class Program:
    """A graph as PyTorch exported it, with taps, and what tracing told beside it.

    Attributes:
        model: The graph; it is never changed.
        calls: How often each target layer was called.
        keys: Keys of the returned dict.
    """

    model: ir.Model
    calls: dict[str, int]
    keys: list[str]


@dataclass
class Programs:
    """The programs of one source by what decides them."""

    _known: dict[Key, Program] = field(default_factory=dict[Key, Program])

    def find(self, key: Key) -> Program | None:
        """The program that was made with this key, with a graph of its own."""
        found = self._known.get(key)
        return None if found is None else _copy(found)

    def keep(self, key: Key, made: Program) -> None:
        """Keep a copy of a program; its weights are shared, since no step changes them.

        Weights beyond 1.9 GB leave the memory when the artifact is saved, and are not kept here.
        """
        if not exceeds_message(made.model):
            self._known[key] = _copy(made)


def _copy(program: Program) -> Program:
    return Program(program.model.clone(), dict(program.calls), list(program.keys))


def key_of(
    module: nn.Module, inputs: ModuleInputs, layers: Sequence[str], trace: TorchExport
) -> Key | None:
    """What decides the program of a source, beside its code; None where that cannot be read.

    These are the layers with their weights as they are now, the inputs' shapes and the settings.
    """
    import torch
    from torch import nn

    state = hashlib.sha256()
    for name, layer in module.named_modules():
        state.update(f"{name}:{type(layer)}:{layer.training}:{layer.extra_repr()}".encode())
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if type(tensor) not in (torch.Tensor, nn.Parameter):
            return None  # a subclass holds its numbers in its own way
        state.update(f"{name}:{tensor.dtype}:{list(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        state.update(values.numpy().data)
    shapes = tuple((x.dtype, tuple(x.shape)) for x in inputs.tensors)
    names = (tuple(names) for names in (trace.input_names or (), trace.output_names or ()))
    sizes = trace.opset, trace.dynamic_batch, trace.dynamic_size
    return state.hexdigest(), shapes, tuple(layers), sizes, *names
