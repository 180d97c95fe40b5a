"""`module_of` returns the user's module and its example inputs; `run_module` runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, first_line
from .need_pytorch import need_pytorch

if TYPE_CHECKING:
    import torch

    from .torch_inputs import ModuleInputs

_WRAPPERS = ("OptimizedModule", "DataParallel", "DistributedDataParallel")


def module_of(
    model: object, example_inputs: Sequence[Any] | Mapping[str, Any] | None
) -> tuple[torch.nn.Module, ModuleInputs]:
    """Return the module and its example inputs; an ExportedProgram is unflattened to modules.

    A tensor stands for a tuple of it; see `bound_inputs`.

    Raises:
        CaptureError: ``model`` is neither, there are no example inputs, or PyTorch is missing.
    """
    need_pytorch(f"a {type(model).__name__}")
    import torch

    from .torch_inputs import ModuleInputs, bound_inputs

    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    if not isinstance(example_inputs, (tuple, list, Mapping, NoneType)):
        raise CaptureError(
            f"example_inputs are a {type(example_inputs).__name__}; give a tuple of tensors, such "
            "as (torch.randn(1, 3, 224, 224),), or a dict of forward's arguments"
        )
    if isinstance(model, torch.export.ExportedProgram):
        args, kwargs = model.example_inputs or ((), {})
        stored = ModuleInputs(tuple(args), dict(kwargs))
        model = torch.export.unflatten(model)
        inputs = bound_inputs(model, example_inputs) if example_inputs else stored
        for part in model.modules():
            for node in getattr(getattr(part, "graph", None), "nodes", ()):
                # Tracing records contain fake tensors, which prevent copies of the module.
                node.meta.clear()
    elif isinstance(model, torch.nn.Module):
        model = _unwrapped(model)
        inputs = bound_inputs(model, example_inputs or ())
        _check_weights(model)
    else:
        raise CaptureError(f"cannot export a {type(model).__name__}; {_remedy(model)}")
    if not (inputs.args or inputs.kwargs):
        raise CaptureError(
            "example_inputs are missing; give a tuple such as (torch.randn(1, 3, 224, 224),)"
        )
    return model, inputs.with_tensors([tensor.cpu() for tensor in inputs.tensors])


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


def run_module(module: torch.nn.Module, inputs: ModuleInputs) -> Any:
    """Return what a module makes of its example inputs.

    Raises:
        CaptureError: It cannot be run on them; the error quotes PyTorch's first line.
    """
    try:
        return inputs.call(module)
    except Exception as error:
        reason = first_line(error).rstrip(".:")
        raise CaptureError(
            f"the model cannot be run on ({inputs}): {reason}; give "
            "example_inputs (--shape) that its forward takes"
        ) from error
