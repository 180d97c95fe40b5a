"""`module_of` returns the user's module and its example inputs; `run_module` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, first_line

if TYPE_CHECKING:
    import torch


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
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError(
            "cannot export TorchScript: it hides the layers; give the nn.Module that it was made of"
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
    else:
        raise CaptureError(
            f"cannot export a {type(model).__name__}; give an nn.Module, an ExportedProgram or the "
            "path of an ONNX file"
        )
    if not inputs:
        raise CaptureError(
            "example_inputs are missing; give a tuple such as (torch.randn(1, 3, 224, 224),)"
        )
    return model, inputs


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
