"""`write_shuffled` copies a model with some of its weights shuffled.

A weight keeps its numbers and thus their distribution; which of them stands where is drawn. The
order follows from the seed and from the numbers themselves. Therefore copies of a weight, in one
file or in the files of an artifact and its heads, are shuffled alike.
"""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SessionError, system_errors
from .constants import ADDED
from .onnx_graph import OnnxGraph, Place, Tensor, beside
from .weights import Content, content_of


def write_shuffled(
    graph: OnnxGraph, contents: Collection[Content], seed: int, folder: Path
) -> Path:
    """Write a copy of a model, with the files beside it, in which weights are shuffled.

    All copies of a weight are shuffled. Everything else in the files stays as it is, byte by byte:
    the metadata, and the constants that an export added (the identity matrix of a max pool's
    gradient may equal a weight, and is none).

    Args:
        graph: The model.
        contents: The weights; those that the file lacks are ignored.
        seed: Of the order; 0 or more.
        folder: Where the files go, which exists and has none of them.

    Returns:
        The copy, which has the model's file name.

    Raises:
        SessionError: A file cannot be read or written.
    """
    with system_errors(SessionError, f"cannot copy {graph.path}"):
        places = {"": folder / graph.path.name}
        shutil.copyfile(graph.path, places[""])
        for location in graph.files:
            places[location] = beside(places[""], location)
            places[location].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(beside(graph.path, location), places[location])
        for place, (tensor, content) in _stored(graph, contents).items():
            with places[place.location].open("r+b") as file:
                data = mmap.mmap(file.fileno(), 0)
                _shuffle(tensor, data, content, seed)
                data.close()
    return places[""]


def _stored(graph: OnnxGraph, contents: Collection[Content]) -> dict[Place, tuple[Tensor, Content]]:
    """Find the tensors with these contents; of those that share their bytes one."""
    sizes = {(one.kind, one.size) for one in contents}
    found: dict[Place, tuple[Tensor, Content]] = {}
    for tensor in graph.tensors:
        if tensor.place is None or tensor.name.startswith(ADDED):
            continue
        if (tensor.kind, tensor.place.size) in sizes:
            content = content_of(graph, tensor)
            if content in contents:
                found[tensor.place] = tensor, content
    return found


def _shuffle(tensor: Tensor, data: Any, content: Content, seed: int) -> None:
    order = np.random.default_rng([seed, int.from_bytes(content.sha256, "big")])
    order.shuffle(tensor.view(data))
