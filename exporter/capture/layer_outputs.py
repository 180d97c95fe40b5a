"""Taps make the outputs of target layers outputs of the exported module.

Forward hooks return the layers' outputs, and a custom node protects each of them while PyTorch
optimises the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import onnx_ir as ir
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..source.layer_taps import LayerTap
from ..source.torch_inputs import ModuleInputs
from ..source.torch_outputs import names_of, tensors_of

_TAP = ("graftcam", "Tap")


class Tapped(nn.Module):
    """Returns the model's outputs and, after them, the layers' outputs.

    Args:
        module: The model.
        layers: Layers' names; see `LayerTap`.
        arrange: Makes the arguments of the model's ``forward`` of its tensors.
        tell: Called after every forward pass with the number of calls of each layer. (Tracing
            reverts changes of attributes.)
        name: Called with the keys of the returned dict, likewise.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        arrange: Callable[[Sequence[torch.Tensor]], ModuleInputs],
        tell: Callable[[dict[str, int]], None],
        name: Callable[[list[str]], None],
    ) -> None:
        super().__init__()
        self.graftcam_model = module
        self.layers = list(layers)
        self.arrange = arrange
        self.tell = tell
        self.name = name

    def forward(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Run the model with a tap at each layer."""
        stored: dict[str, torch.Tensor] = {}

        def store(name: str, tensor: torch.Tensor) -> torch.Tensor:
            stored[name] = tensor
            # The model continues with a clone: a later in-place activation cannot change the tap.
            return tensor.clone()

        taps = [LayerTap(self.graftcam_model, n, partial(store, n)) for n in self.layers]
        try:
            with _Attention():
                given = self.arrange(tensors)
                result = self.graftcam_model(*given.args, **given.kwargs)
        finally:
            for tap in taps:
                tap.remove()
        self.tell({tap.name.text: tap.calls for tap in taps if tap.name.call is None})
        self.name(names_of(result) or [])
        for tap in taps:
            tap.check_called()
        return [*tensors_of(result), *(stored[name] for name in self.layers)]


class _Attention(TorchFunctionMode):
    """Calls attention in the form that PyTorch's exporter can translate.

    That is four axes, and a contiguous result: with a mask, the traced and the translated result
    have different strides, and a later view fails.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not functional.scaled_dot_product_attention or len(args) < 3:
            return func(*args, **kwargs)
        query, key, value, *rest = args
        mask = rest[0] if rest else kwargs.pop("attn_mask", None)
        lead = query.shape[:-2]

        def joined(x: torch.Tensor) -> torch.Tensor:
            """Merge the leading axes into the axis of attention heads, which are independent."""
            return x if len(lead) == 2 else x.reshape(x.shape[0], -1, *x.shape[-2:])

        if mask is not None and len(lead) != 2:
            mask = joined(mask.expand(*lead, *mask.shape[-2:]))
        result = func(joined(query), joined(key), joined(value), mask, *rest[1:], **kwargs)
        if mask is not None:
            result = result.clone(memory_format=torch.contiguous_format)
        return result if len(lead) == 2 else result.reshape(*lead, *result.shape[-2:])


def guard_taps(graph: ir.Graph, count: int) -> None:
    """Insert a custom node at each tap, which PyTorch's optimiser can neither remove nor merge.

    It would merge two layers that compute the same, such as two activations of one tensor, and the
    gradient of one would then include the other's.

    Args:
        graph: The exported graph, not optimised yet.
        count: Number of taps, which are the last outputs.
    """
    for place in range(len(graph.outputs) - count, len(graph.outputs)):
        value = graph.outputs[place]
        readers, producer = list(value.uses()), value.producer()
        # The number prevents guards from being merged with each other.
        guard = ir.node(_TAP[1], [value], {"number": place}, domain=_TAP[0])
        out = guard.outputs[0]
        out.type, out.shape = value.type, value.shape
        for node, index in readers:
            node.replace_input_with(index, out)
        graph.outputs[place] = out
        if producer is None:
            graph.insert_before(next(iter(graph)), guard)
        else:
            graph.insert_after(producer, guard)


def take_taps(graph: ir.Graph, layers: Sequence[str]) -> dict[str, ir.Value]:
    """Remove the taps from the outputs, and their guards, and return the layers' values."""
    # One by one: deleting a slice would leave the values marked as outputs.
    taps = [graph.outputs.pop() for _ in layers][::-1]
    targets: dict[str, ir.Value] = {}
    for path, tap in zip(layers, taps, strict=True):
        guard = tap.producer()
        assert guard is not None
        value = guard.inputs[0]
        assert value is not None
        shared = value.is_graph_input() or value.is_graph_output() or len(list(value.uses())) > 1
        if shared or value.producer() is None:
            # Another layer computes the same; the Identity separates its readers from this one's.
            guard.domain, guard.op_type = "", "Identity"
            guard.attributes.clear()
            targets[path] = tap
            continue
        ir.convenience.replace_all_uses_with(tap, value)
        graph.remove(guard, safe=True)
        targets.update({name: value for name, known in targets.items() if known is tap})
        targets[path] = value
    return targets
