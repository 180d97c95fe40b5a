"""`module_of` returns the user's module and its example inputs; `run_module` runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, first_line

if TYPE_CHECKING:
    import torch

_WRAPPERS = ("OptimizedModule", "DataParallel", "DistributedDataParallel")


def module_of(
    model: object, example_inputs: Sequence[Any] | None
) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """Return the module and its example inputs; an ExportedProgram is unflattened to modules.

    A tensor stands for a tuple of it.

    Raises:
        CaptureError: ``model`` is neither, or there are no example inputs.
    """
    import torch

    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    if not isinstance(example_inputs, (tuple, list, NoneType)):
        raise CaptureError(
            f"example_inputs are a {type(example_inputs).__name__}; give a tuple of tensors, such "
            "as (torch.randn(1, 3, 224, 224),)"
        )
    if isinstance(model, torch.export.ExportedProgram):
        stored = model.example_inputs[0] if model.example_inputs else ()
        inputs = tuple(example_inputs or stored)
        model = torch.export.unflatten(model)
        for part in model.modules():
            for node in getattr(getattr(part, "graph", None), "nodes", ()):
                # Tracing records contain fake tensors, which prevent copies of the module.
                node.meta.clear()
    elif isinstance(model, torch.nn.Module):
        inputs = tuple(example_inputs or ())
        model = _unwrapped(model)
        _check_weights(model)
    else:
        raise CaptureError(f"cannot export a {type(model).__name__}; {_remedy(model)}")
    if not inputs:
        raise CaptureError(
            "example_inputs are missing; give a tuple such as (torch.randn(1, 3, 224, 224),)"
        )
    return model, tuple(x.cpu() if isinstance(x, torch.Tensor) else x for x in inputs)


def _remedy(model: object) -> str:
    if isinstance(model, Mapping):
        return (
            "it holds weights, not the model: build the model, load them with "
            "model.load_state_dict(...), and give the model"
        )
    return "give an nn.Module, an ExportedProgram or the path of an ONNX file"


def _unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The module inside `torch.compile`'s, DataParallel and DistributedDataParallel."""
    while type(model).__name__ in _WRAPPERS:
        inner = getattr(model, "_orig_mod", getattr(model, "module", None))
        if inner is None:
            break
        model = inner
    return model


def _check_weights(model: torch.nn.Module) -> None:
    """Refuse a module whose weights cannot be exported.

    Raises:
        CaptureError: They are not there yet (lazy modules, the meta device), or quantised.
    """
    from torch.nn.parameter import is_lazy

    for path, layer in model.named_modules():
        kind = type(layer)
        name = f"layer {path!r} ({kind.__name__})" if path else f"the model ({kind.__name__})"
        if ".quantized" in kind.__module__ and kind.__module__.startswith("torch."):
            raise CaptureError(
                f"{name} is quantised by torch.ao, which PyTorch's exporter cannot translate; give "
                "the float model, and make the artifact smaller with `graftcam shrink`"
            )
        for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
            if is_lazy(tensor):
                raise CaptureError(
                    f"{name} has no weights yet: it waits for a first input; run the model once, "
                    "load its weights, and give it again"
                )
            if tensor.device.type == "meta":
                raise CaptureError(
                    f"{name} is on the meta device, which holds shapes without weights; call "
                    "model.to_empty(device='cpu') and load its weights"
                )


def run_module(module: torch.nn.Module, inputs: Sequence[Any]) -> Any:
    """Return what a module makes of its example inputs.

    Raises:
        CaptureError: It cannot be run on them; the error quotes PyTorch's first line.
    """
    try:
        return module(*inputs)
    except Exception as error:
        reason = first_line(error).rstrip(".:")
        given = ", ".join(_described(one) for one in inputs)
        raise CaptureError(
            f"the model cannot be run on ({given}): {reason}; give "
            "example_inputs (--shape) that its forward takes"
        ) from error


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    kind = str(getattr(value, "dtype", "")).removeprefix("torch.")
    name = type(value).__name__
    return name if shape is None else f"{name} {kind} {list(shape)}"
