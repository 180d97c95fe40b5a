"""The length of a tensor is an open size too: `open_lengths` keeps ``len(tensor)`` from fixing it.

Python's ``len`` returns an integer, whatever ``__len__`` gives. So PyTorch's exporter fixes the
batch of a model that asks for ``len(x)`` in place of ``x.shape[0]`` (RT-DETR, D-FINE).
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_NAME = "len"


@contextmanager
def open_lengths(module: nn.Module) -> Generator[None]:
    """Let ``len`` of a tensor be its first extent in the source files of a model's classes.

    PyTorch's own files stay as they are, and so does a file that has a ``len`` of its own.
    """
    names = {type(layer).__module__ for layer in module.modules()}
    files = [sys.modules[name].__dict__ for name in sorted(names) if name in sys.modules]
    changed = [
        one for one in files if _NAME not in one and str(one["__name__"]).split(".")[0] != "torch"
    ]
    for one in changed:
        one[_NAME] = _length
    try:
        yield
    finally:
        for one in changed:
            one.pop(_NAME, None)


def _length(value: Any) -> Any:
    """Like ``len``, but of a tensor the first extent, which may be open."""
    if isinstance(value, torch.Tensor) and value.dim():
        return value.shape[0]
    return builtins.len(value)
