"""`module_of` returns the user's module and its example inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError

if TYPE_CHECKING:
    import torch


def module_of(
    model: object, example_inputs: Sequence[Any] | None
) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """Return the module and its example inputs; an ExportedProgram is unflattened to modules.

    Raises:
        CaptureError: ``model`` is neither, or there are no example inputs.
    """
    import torch

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
