"""`module_of` returns the user's module and its example inputs; `run_module` runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, first_line

if TYPE_CHECKING:
    import torch

    from .torch_inputs import ModuleInputs


def module_of(
    model: object, example_inputs: Sequence[Any] | Mapping[str, Any] | None
) -> tuple[torch.nn.Module, ModuleInputs]:
    """Return the module and its example inputs; an ExportedProgram is unflattened to modules.

    A tensor stands for a tuple of it; see `bound_inputs`.

    Raises:
        CaptureError: ``model`` is neither, or there are no example inputs.
    """
    import torch

    from .torch_inputs import ModuleInputs, bound_inputs

    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    if not isinstance(example_inputs, (tuple, list, Mapping, NoneType)):
        raise CaptureError(
            f"example_inputs are a {type(example_inputs).__name__}; give a tuple of tensors, such "
            "as (torch.randn(1, 3, 224, 224),), or a dict of forward's arguments"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError(
            "cannot export TorchScript: it hides the layers; give the nn.Module that it was made of"
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
        inputs = bound_inputs(model, example_inputs or ())
    else:
        raise CaptureError(
            f"cannot export a {type(model).__name__}; give an nn.Module, an ExportedProgram or the "
            "path of an ONNX file"
        )
    if not (inputs.args or inputs.kwargs):
        raise CaptureError(
            "example_inputs are missing; give a tuple such as (torch.randn(1, 3, 224, 224),)"
        )
    return model, inputs


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
