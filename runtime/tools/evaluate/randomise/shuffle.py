"""`write_shuffled` copies a model with some of its weights shuffled.

A weight keeps its numbers and thus their distribution; which of them stands where is drawn. The
order follows from the seed and from the numbers themselves. Therefore copies of a weight are
shuffled alike, transposed or not, in one file or in the files of an artifact and its heads.
"""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import SessionError, system_errors
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
        for tensor, content, turned in _stored(graph, contents):
            assert tensor.place is not None
            with places[tensor.place.location].open("r+b") as file:
                data = mmap.mmap(file.fileno(), 0)
                _shuffle(tensor.view(data), content, seed, turned=turned)
                data.close()
    return places[""]


def _stored(
    graph: OnnxGraph, contents: Collection[Content]
) -> Iterator[tuple[Tensor, Content, bool]]:
    """Yield the tensors with these contents, of those that share their bytes one."""
    sizes, done = {(one.kind, one.size) for one in contents}, set[Place]()
    for tensor in graph.tensors:
        if tensor.place is None or tensor.place in done or tensor.name.startswith(ADDED):
            continue
        if (tensor.kind, tensor.place.size) in sizes:
            content, turned = content_of(graph, tensor)
            if content in contents:
                done.add(tensor.place)
                yield tensor, content, turned


def _shuffle(numbers: NDArray[Any], content: Content, seed: int, *, turned: bool) -> None:
    """Shuffle numbers in place; those of a transpose as if they were not ``turned``."""
    order = np.random.default_rng([seed, int.from_bytes(content.sha256, "big")])
    drawn = np.array(numbers.T if turned else numbers, order="C")
    order.shuffle(drawn.reshape(-1))
    numbers[...] = drawn.T if turned else drawn
