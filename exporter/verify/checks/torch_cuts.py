"""This module finds the calls that keep gradients from a part of a model's forward pass.

A graph of operators has no ``detach()``, no ``no_grad()`` and no backward pass of its own: it gives
the derivative of what is computed. Where autograd gives another gradient, these calls say why, and
the module that makes them says where.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

from ....runtime.spec import Layer
from ...source.nested import parts_of
from ...source.torch_layers import named_layers
from ..runs.matrix import Truth
from ..runs.running import Array
from ..verdict.compare import relative_errors
from ..verdict.deadline import Deadline

if TYPE_CHECKING:
    from ...source.torch_inputs import ModuleInputs
    from .torch_reference import Reference

_CHANGED = 1e-3  # relative to the gradient: what a cut changes, if it changes anything
_MOST = 8  # cuts that are opened in turn; each costs a forward and a backward pass
_DETACHED, _NO_GRAD = "detach()", "no_grad()"
_FRAMES = 12  # callers among which the forward of an autograd function is looked for


@dataclass(frozen=True)
class Cut:
    """A call through which autograd does not pass, or not as the derivative does.

    Attributes:
        module: Path of the module that makes it; empty for the model itself.
        what: The call.
        own: Whether it belongs to a function with a backward pass of its own.
    """

    module: str
    what: str
    own: bool = False

    def __str__(self) -> str:
        """The call and its place, for messages."""
        where = f"module {self.module!r}" if self.module else "the model's own forward"
        return f"{self.what} in {where}"


class WatchCuts(TorchFunctionMode):
    """Records the cuts of a forward pass, and lets gradients pass through some of them.

    Args:
        module: The model whose forward pass is watched.
        opened: Cuts that gradients pass through.

    Attributes:
        found: The cuts, each once, in the order of the calls.
    """

    def __init__(self, module: nn.Module, opened: Collection[Cut] = ()) -> None:
        super().__init__()
        self.module, self.opened = module, opened
        self.found: list[Cut] = []
        self._inside: list[str] = []
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        self._inside = [""]
        for path, layer in named_layers(self.module).items():
            enter = partial(self._enter, path)
            self._handles.append(layer.register_forward_pre_hook(enter))
            self._handles.append(layer.register_forward_hook(self._leave, always_call=True))
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _enter(self, path: str, _layer: nn.Module, _given: Any) -> None:
        self._inside.append(path)

    def _leave(self, _layer: nn.Module, _given: Any, _output: Any) -> None:
        self._inside.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = partial(func, *args, **(kwargs or {}))
        tensor = next((one for one in _tensors((args, kwargs)) if one.requires_grad), None)
        detaches = _detaches(func)
        if tensor is None or (torch.is_grad_enabled() and not detaches):
            return call()
        cut = self._cut(detaches=detaches)
        if cut not in self.opened:
            result = call()
            differentiable = any(one.is_floating_point() for one in _tensors(result))
            if differentiable and cut not in self.found:
                self.found.append(cut)
            return result
        with torch.enable_grad():
            if detaches:
                return tensor.view_as(tensor)
            with contextlib.suppress(RuntimeError):  # such as a change of a leaf in place
                return call()
        return call()

    def _cut(self, *, detaches: bool) -> Cut:
        function = _autograd_function()
        if function:
            return Cut(self._inside[-1], f"the autograd function {function}", own=True)
        return Cut(self._inside[-1], _DETACHED if detaches else _NO_GRAD)


def cuts_behind(
    reference: Reference, arguments: ModuleInputs, truth: Truth, layer: Layer, deadline: Deadline
) -> list[Cut]:
    """The cuts that change autograd's gradient of a layer.

    Each is opened in turn: autograd then gives another gradient, if the cut lies between the layer
    and the score. A function with a backward pass of its own cannot be opened; it is named where
    no other cut changes anything.

    Args:
        reference: PyTorch in float64.
        arguments: The module's inputs of the run.
        truth: The run, which says what is scored.
        layer: The layer; its name is empty for the image.
        deadline: When to open no further cut.
    """

    def gradient(opened: Collection[Cut]) -> tuple[Array, Sequence[Cut]]:
        with reference.watching(WatchCuts(reference.module, opened)) as watch:
            made = reference(arguments, *truth.first.doubled)
        found = made.gradients[layer.name] if layer.name else made.of_input["input_gradients"]
        return found, watch.found

    def changes(cut: Cut) -> bool:
        try:
            opened, _ = gradient([cut])
        except RuntimeError:  # PyTorch does not differentiate what lies behind it
            return False
        return float(relative_errors(opened, plain).max(initial=0.0)) > _CHANGED

    plain, cuts = gradient(())
    tried = [cut for cut in cuts if not cut.own][:_MOST]
    changing = [cut for cut in tried if not deadline.passed and changes(cut)]
    return changing or [cut for cut in cuts if cut.own]


def _tensors(value: Any) -> list[torch.Tensor]:
    return [part for _, part in parts_of(value) if isinstance(part, torch.Tensor)]


def _detaches(func: Callable[..., Any]) -> bool:
    """Whether a function of PyTorch returns its tensor without its history."""
    return getattr(func, "__name__", "").split(".")[0] in ("detach", "detach_")


def _autograd_function() -> str:
    """The autograd function whose forward is among the callers; empty if there is none."""
    frame = inspect.currentframe()
    for _ in range(_FRAMES):
        frame = None if frame is None else frame.f_back
        for value in [] if frame is None else frame.f_locals.values():
            if isinstance(value, FunctionCtx):
                return type(value).__name__.removesuffix("Backward")
    return ""
