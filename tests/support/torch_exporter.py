"""PyTorch's exporter makes its table of operators for each export anew; tests make it once.

It reads the signatures of a thousand functions, which takes longer than exporting a small model.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def share_operators() -> None:
    """Let all exports of this process start from copies of one table."""
    # By its name: the runtime's tests, which share this folder, run without PyTorch.
    registration = import_module("torch.onnx._internal.exporter._registration")
    registry: Any = registration.ONNXRegistry
    whole = cache(registry.from_torchlib)

    def from_torchlib(cls: Any, opset_version: int = 18) -> Any:
        table, copy = whole(opset_version), cls()
        copy._opset_version = opset_version
        copy.functions = {target: list(known) for target, known in table.functions.items()}
        return copy

    registry.from_torchlib = classmethod(from_torchlib)
