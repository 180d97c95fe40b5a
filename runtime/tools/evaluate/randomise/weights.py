"""`find_weights` finds a model's weights in an artifact, in the order from the score to the input.

A weight is a constant of two axes or more that a product of the model takes: a convolution, a
matrix product, an Einstein sum or a recurrent layer, also through nodes that only rearrange or
scale it. Nodes that graftcam added do not count, such as those of gradients. The file does not tell
what was trained: a fixed filter or matrix that a product takes counts as a weight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from .constants import ADDED, Constants, is_wide
from .onnx_graph import FLOATS, OnnxGraph, Tensor


class Content(NamedTuple):
    """What a tensor holds; copies have the same, and so have a matrix and its transpose.

    Exporters store a weight that the model uses in both directions as two constants.

    Attributes:
        kind: Its type, a TensorProto.DataType.
        size: Its bytes.
        sha256: Their digest; of a matrix the smaller one of its own and its transpose's.
    """

    kind: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class Weights:
    """The weights of a model.

    Attributes:
        found: For each weight the names of its tensors, several if the file has copies; those near
            the score first.
        left_out: Names of constants of two axes or more that are no weights: no product takes them
            (an embedding of positions, say), all their numbers are equal, or their type or the way
            in which they are stored cannot be exchanged in place.
    """

    found: dict[Content, list[str]]
    left_out: list[str]

    def top(self, count: int) -> frozenset[Content]:
        """Return the ``count`` weights nearest to the score."""
        return frozenset([*self.found][:count])


def find_weights(graph: OnnxGraph, scores: Collection[str]) -> Weights:
    """Return the weights that ``scores`` depend on.

    A weight's depth is the largest number of nodes between a score and the product that takes it,
    so that it always comes before the weights of what the product reads. Of several products that
    share a weight the nearest counts. Products of one depth are ordered from the file's end to its
    beginning.

    Args:
        graph: An artifact.
        scores: Names of the values that are explained.

    Raises:
        InputError: The file has none of ``scores``, or its gradients do not use the model's own
            weights; see `_check_shared`.
    """
    depths = _depths(graph, scores)
    if not depths:
        raise InputError(f"{graph.path.name} has none of the values {sorted(scores)}; export again")
    constants = Constants(graph)
    order: dict[str, tuple[int, int]] = {}
    reached: dict[str, None] = {}
    for place, node in enumerate(graph.nodes):
        depth = max((depths[name] for name in node.outputs if name in depths), default=None)
        if depth is None:
            continue
        reached.update(dict.fromkeys(node.reads))
        for name in constants.weights_of(node):
            order[name] = min(order.get(name, (depth, -place)), (depth, -place))
    found: dict[Content, list[str]] = {}
    for name in sorted(order, key=order.__getitem__):
        tensor = constants.tensors[name]
        if not _is_uniform(graph, tensor):
            found.setdefault(content_of(graph, tensor)[0], []).append(name)
    taken = {*chain.from_iterable(found.values())}
    _check_shared(graph, {constants.tensors[name].dims for name in taken}, reached)
    left_out = [
        name for name in reached
        if name in constants.tensors and name not in taken and not name.startswith(ADDED)
        and constants.tensors[name].kind in FLOATS and is_wide(constants.tensors[name])
    ]  # fmt: skip
    return Weights(found, left_out)


def content_of(graph: OnnxGraph, tensor: Tensor) -> tuple[Content, bool]:
    """Return what a tensor with a place holds, and whether the digest is that of its transpose."""
    numbers = graph.numbers(tensor)
    own, other = (_digest(one) for one in (numbers, numbers.T))
    return Content(tensor.kind, numbers.nbytes, min(own, other)), other < own


def _digest(numbers: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(numbers).data).digest()


def _depths(graph: OnnxGraph, scores: Collection[str]) -> dict[str, int]:
    """For each value that leads to a score, the largest number of nodes in between."""
    known = {name for node in graph.nodes for name in node.outputs}
    depths = dict.fromkeys(known.intersection(scores), 0)
    for node in reversed(graph.nodes):
        depth = max((depths[name] for name in node.outputs if name in depths), default=None)
        if depth is not None:
            for name in node.reads:
                depths[name] = max(depths.get(name, 0), depth + 1)
    return depths


def _is_uniform(graph: OnnxGraph, tensor: Tensor) -> bool:
    """Whether all numbers of a tensor are equal: no order of them is another."""
    numbers = graph.numbers(tensor)
    return bool((numbers == numbers.flat[0]).all())


def _check_shared(
    graph: OnnxGraph, dims: Collection[tuple[int, ...]], reached: Collection[str]
) -> None:
    """Refuse a file whose added nodes have weights of their own beside the model's.

    A tool that converts the model to fewer bits leaves such a file. With the model's weights
    shuffled its gradients would still be those of the weights as they were.

    Args:
        graph: The file.
        dims: Extents of the model's weights.
        reached: Names that the model reads.

    Raises:
        InputError: It has constants of such extents that only added nodes read.
    """
    others = {
        one.name for one in graph.tensors
        if one.kind in FLOATS and one.dims in dims
        and one.name not in reached and not one.name.startswith(ADDED)
    }  # fmt: skip
    added, own = set[str](), set[str]()
    for node in graph.nodes:
        for one in node.all_nodes():
            (added if one.name.startswith(ADDED) else own).update(one.inputs)
    apart = sorted(others & added - own)
    if apart:
        raise InputError(
            f"{graph.path.name}: the gradients use {apart[0]!r}, which the model does not, so they "
            "would not follow a change of its weights; use the artifact that it was made from"
        )
