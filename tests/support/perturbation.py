"""Small models whose heads perturbation methods rerun, and what a method makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from graftcam.runtime.methods import table
from graftcam.runtime.methods.method_io import MethodOutput
from support.heads import Skip, method_output, with_head
from support.nets import ChannelsLast, Reused, Tiny, Tokens

TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}  # float32, scores subtracted from each other
CLASSES = [[2, 1]]
ON_HEADS = [method for method, record in table.METHODS.items() if "head" in record.needs]
METHODS = ["scorecam", "rise", *ON_HEADS]
FEW = {"rise": {"masks": 40, "grid": 3}}  # options that make a method quick
# A cut of the graph, a residual block's inside, tokens, channels last, no ReLU.
MODELS: dict[str, tuple[type[nn.Module], str, tuple[int, int]]] = {
    "cut": (Tiny, "relu1", (9, 8)),
    "residual": (Skip, "act", (8, 8)),
    "tokens": (Tokens, "norm", (12, 8)),
    "channels last": (ChannelsLast, "norm", (6, 5)),
    "smooth": (Reused, "first", (6, 6)),
}


def artifact(name: str) -> Path:
    """One of `MODELS` with its head."""
    return with_head(*MODELS[name])


def explained(
    model: str | Path, x: np.ndarray, method: str, classes: list[list[int]] = CLASSES, **more: Any
) -> MethodOutput:
    """What a method makes of one of `MODELS`, or of an artifact, with few runs by default."""
    path = artifact(model) if isinstance(model, str) else model
    return method_output(path, x, classes, method, **{**FEW.get(method, {}), **more})
