"""A `LayerTap` takes the tensor that a layer's name means out of a forward pass, and may change it.

A name is a layer's path. A layer that is called several times has a number behind it: ``encoder#1``
is its first call; without a number the last one is meant. A layer that returns several tensors has
a key or an index behind it: ``stages.2[0]``, ``backbone[feat]``; without one its only tensor with
places is meant. Both go together: ``encoder#1[0]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import LayerError, unknown_layer
from .nested import Path, parts_of, with_part
from .torch_layers import find_layer_at, named_layers

LEAST_AXES = 3  # of a tensor with places: [N, C, length], or tokens [N, T, C]
_NAME = re.compile(r"(?P<path>.*?)(?P<rest>(?:#\d+|\[[^\[\]]*\])+)")
_PART = re.compile(r"#(\d+)|\[([^\[\]]*)\]")


@dataclass(frozen=True)
class LayerName:
    """A layer's name, taken apart.

    Attributes:
        text: As it was given.
        path: The layer's.
        call: Which of its calls, from 1; None: the last.
        keys: What leads to the tensor inside of its output; none: its only one with places.
    """

    text: str
    path: str
    call: int | None = None
    keys: tuple[str, ...] = ()


def read_name(module: nn.Module, text: str) -> tuple[nn.Module, LayerName]:
    """Return the layer that a name means, and the name's parts.

    Raises:
        LayerError: There is no such layer; the message suggests the nearest names.
    """
    layer, match = find_layer_at(module, text), _NAME.fullmatch(text)
    if layer is not None:
        return layer, LayerName(text, text)
    path = match["path"] if match else text
    layer = find_layer_at(module, path)
    if match is None or layer is None:
        raise LayerError(unknown_layer(text, named_layers(module)))
    parts = _PART.findall(match["rest"])
    calls = [int(number) for number, _ in parts if number]
    if len(calls) > 1 or 0 in calls:
        raise LayerError(f"layer {text!r}: give one call after '#', counted from 1")
    keys = tuple(key.strip("\"' ") for number, key in parts if not number)
    return layer, LayerName(text, path, calls[0] if calls else None, keys)


def joined_name(path: str, call: int | None, place: Path) -> str:
    """The name of one tensor of one call."""
    number = "" if call is None else f"#{call}"
    return f"{path}{number}{''.join(f'[{key}]' for key in place)}"


def maps_in(output: Any) -> list[tuple[Path, torch.Tensor]]:
    """The float tensors with places in a layer's output, each once."""
    found: dict[int, tuple[Path, torch.Tensor]] = {}
    for place, part in parts_of(output):
        floats = isinstance(part, torch.Tensor) and part.is_floating_point()
        if floats and part.dim() >= LEAST_AXES:
            found.setdefault(id(part), (place, part))
    return list(found.values())


class LayerTap:
    """Calls a function with a layer's tensor, and lets the model continue with what it returns.

    Args:
        module: The model.
        name: The layer's, as the module's docstring says.
        change: Takes the tensor; what it returns replaces it, unless that is None.

    Attributes:
        calls: How often the layer was called; set it to 0 before a forward pass.
        layer: The layer.
        nested: Whether it returned more than a tensor.

    Raises:
        LayerError: There is no such layer; and from inside the forward pass, if it does not return
            such a tensor.
    """

    def __init__(
        self, module: nn.Module, name: str, change: Callable[[torch.Tensor], torch.Tensor | None]
    ) -> None:
        self.layer, self.name = read_name(module, name)
        self.change = change
        self.calls = 0
        self.nested = False
        # What the layer is called with, and how often each tensor was changed in place before: a
        # layer that returns one unchanged passes it on (an Identity, or a Dropout in eval mode).
        self._given: list[tuple[torch.Tensor, int]] = []
        self._handles = [
            self.layer.register_forward_pre_hook(self._before, with_kwargs=True),
            self.layer.register_forward_hook(self._hook),
        ]

    def remove(self) -> None:
        """Take the tap off the layer."""
        for handle in self._handles:
            handle.remove()

    def check_called(self) -> None:
        """Check that the last forward pass came by.

        Raises:
            LayerError: It did not, or not as often as the name says.
        """
        if not self.calls:
            raise LayerError(f"layers {[self.name.text]} are not called in a forward pass")
        if self.name.call is not None and self.name.call > self.calls:
            times = "once" if self.calls == 1 else f"{self.calls} times"
            raise LayerError(
                f"layer {self.name.path!r} is called {times}; there is no call {self.name.text!r}"
            )

    def _before(self, _layer: nn.Module, args: Any, kwargs: Any) -> None:
        given = (part for _, part in parts_of((args, kwargs)))
        self._given = [(one, _changes(one)) for one in given if isinstance(one, torch.Tensor)]

    def _hook(self, _layer: nn.Module, _args: Any, output: Any) -> Any:
        given, self._given = self._given, []
        self.calls += 1
        if self.name.call not in (None, self.calls):
            return None
        self.nested = not isinstance(output, torch.Tensor)
        tensor = _tensor_of(self.name, output)
        # Others may read what is only passed on, beside the layer: a copy has no readers but those
        # behind it.
        passed = any(one is tensor and changes == _changes(one) for one, changes in given)
        new = self.change(tensor.clone() if passed else tensor)
        if new is None:
            return None
        for place, part in parts_of(output):
            if part is tensor:
                output = with_part(output, place, new)
        return output


def _changes(tensor: torch.Tensor) -> int:
    """How often a tensor was changed in place; PyTorch does not count it in inference mode."""
    return 0 if tensor.is_inference() else tensor._version  # pyright: ignore[reportPrivateUsage]


def _tensor_of(name: LayerName, output: Any) -> torch.Tensor:
    """The tensor that ``name`` means in a layer's output.

    Raises:
        LayerError: There is none, or more than one.
    """
    size = len(name.keys)
    found = [(place, part) for place, part in parts_of(output) if isinstance(part, torch.Tensor)]
    inside = [one for one in found if tuple(map(str, one[0][:size])) == name.keys]
    if len(inside) == 1 and len(inside[0][0]) == size:
        return inside[0][1]
    spatial = maps_in(output)
    under = [part for place, part in spatial if tuple(map(str, place[:size])) == name.keys]
    if len(under) == 1:
        return under[0]
    returned = f"layer {name.path!r} returns a {type(output).__name__}"
    if not spatial:
        raise LayerError(
            f"{returned}, without a tensor of three axes or more ({_listed(found)}); choose a "
            "layer inside it"
        )
    such = joined_name(name.path, name.call, spatial[-1][0])
    problem = "not a tensor" if inside else f"which has no {name.text[len(name.path) :]}"
    raise LayerError(f"{returned}, {problem}: {_listed(spatial)}; name one, such as {such!r}")


def _listed(found: Sequence[tuple[Path, torch.Tensor]]) -> str:
    return ", ".join(
        f"{joined_name('', None, place)} {str(part.dtype).removeprefix('torch.')} "
        f"{list(part.shape)}"
        for place, part in found
    ) or "it has none"  # fmt: skip
