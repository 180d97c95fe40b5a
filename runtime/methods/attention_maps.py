"""These functions make the maps of methods of attention from the tensors of an artifact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session.session import Tensors
from ..spec.attention import Attention
from . import attention_flow as flow
from .attention_outputs import result_outputs
from .numpy_operations import NUMPY

Array: TypeAlias = NDArray[np.float32]
Fusion: TypeAlias = Literal["mean", "max", "min"]
Compute: TypeAlias = Callable[[Attention, Tensors, int], Array]


def maps_of(record: Attention, method: str, tensors: Tensors, classes: int) -> Array:
    """Make the maps of a method, with its default options, of tensors.

    Args:
        record: What the tensors are called.
        method: The method; not ``legrad``, which the graph makes.
        tensors: The tensors by name.
        classes: K.

    Returns:
        [N, K, *grid], or [N, 1, *grid] of a method that knows no class.
    """
    return _FORMULAS[method](record, tensors, classes)


def attention_map(
    record: Attention, got: Tensors, classes: int, *, block: int, head: int | None
) -> Array:
    """Return raw attention, [N, 1, *grid]: of one head, or the mean of all."""
    flowing = record.flowing
    if not -len(flowing) <= block < len(flowing):
        raise InputError(
            f"method 'attention': block={block}; there are {len(flowing)}, numbered from 0"
        )
    chosen = flowing[block]
    weights = got[chosen.weights or ""]
    heads = weights.shape[1]
    if head is not None:
        if not 0 <= head < heads:
            raise InputError(f"method 'attention': head={head}; give one of 0 to {heads - 1}")
        weights = weights[:, head : head + 1]
    collects = chosen.role in ("pool", "class")
    read = _one() if collects else _read(record, weights.shape[-1])
    row = flow.attention(NUMPY, flow.Flow(read, [weights]))
    return on_grid(record, row[:, :, record.own_keys :] if collects else row)


def rollout_map(
    record: Attention, got: Tensors, classes: int, *, mix: Callable[[Array], Array] | None
) -> Array:
    """Return attention rollout, [N, 1, *grid]; ``mix`` makes one matrix of the heads."""
    weights = [got[block.weights or ""] for block in record.chain]
    collect = [got[block.weights or ""] for block in record.collectors]
    if record.class_blocks:
        read = flow.class_rollout(NUMPY, _first(collect[0].shape[-1]), collect, mix)[:, :, 1:]
    elif collect:
        read = flow.attention(NUMPY, flow.Flow(_one(), collect))
    else:
        read = _read(record, weights[-1].shape[-1])
    return on_grid(record, flow.rollout(NUMPY, flow.Flow(read, weights), mix))


def gradient_rollout_map(record: Attention, got: Tensors, classes: int) -> Array:
    """Return gradient-weighted rollout, [N, K, *grid]."""
    weights = [got[block.weights or ""] for block in record.chain]
    gradients = [got[block.gradients or ""] for block in record.chain]
    collect = [got[block.weights or ""] for block in record.collectors]
    slopes = [got[block.gradients or ""] for block in record.collectors]
    if record.class_blocks:
        start = _first(collect[0].shape[-1])
        read = flow.class_relevance(NUMPY, start, collect, slopes)[:, :, 1:]
    elif collect:
        read = flow.pooled_relevance(NUMPY, _one(), collect[0], slopes[0])
    else:
        read = _read(record, weights[-1].shape[-1])
    row = flow.gradient_rollout(NUMPY, flow.Flow(read, weights, gradients))
    return on_grid(record, np.broadcast_to(row, (len(row), classes, row.shape[2])))


def grad_eclip_map(record: Attention, got: Tensors, classes: int) -> Array:
    """Return Grad-ECLIP, [N, K, *grid]."""
    queries, keys, values, gradients = (got[name or ""] for name in result_outputs(record))
    place, own = (record.class_tokens or [0])[0], record.own_keys
    keys, values = keys[:, :, own:], values[:, :, own:]
    tokens = _places(record, keys.shape[2])
    made = flow.grad_eclip(
        NUMPY, queries[:, :, place : place + 1], keys[:, :, tokens], values[:, :, tokens],
        gradients[:, :, :, place : place + 1],
    )  # fmt: skip
    return _laid(record, made)


def _one() -> Array:
    return np.ones((1, 1, 1), np.float32)


def _first(keys: int) -> Array:
    """1 at the class token, [1, 1, keys]."""
    return np.eye(1, keys, dtype=np.float32)[None]


def _read(record: Attention, tokens: int) -> Array:
    """How the score reads the tokens: the class token, or all on the grid; [1, 1, tokens]."""
    read = np.zeros((1, 1, tokens), np.float32)
    read[..., record.class_tokens or _places(record, tokens)] = 1
    return read / read.sum()


def _places(record: Attention, tokens: int) -> slice:
    return slice(record.prefix_tokens, tokens - (record.suffix_tokens or 0))


def on_grid(record: Attention, row: Array) -> Array:
    """Return the rows [N, J, tokens] of the tokens on the grid, as maps [N, J, *grid]."""
    return _laid(record, row[:, :, _places(record, row.shape[2])])


def _laid(record: Attention, row: Array) -> Array:
    grid = [-1 if side is None else side for side in record.grid]
    return row.reshape(*row.shape[:2], *grid)


def mixed_heads(weights: Array, *, fusion: Fusion, discard: float) -> Array:
    """One matrix of all heads, so that ``(row + row @ it) / 2`` is a rollout's step."""
    joined = getattr(weights, fusion)(axis=1)
    if discard:
        flat = joined.reshape(len(joined), -1)
        least = np.quantile(flat, discard, axis=1)[:, None, None]
        joined = np.where(joined < least, 0, joined)
    # Rows of A + I are divided by their sums; a step halves the row's own part.
    total = joined.sum(axis=2, keepdims=True) + 1
    own = np.eye(*joined.shape[1:], dtype=np.float32) * (2 / total - 1)
    return (joined * (2 / total) + own).astype(np.float32)


_FORMULAS: dict[str, Compute] = {
    "attention": partial(attention_map, block=-1, head=None),
    "rollout": partial(rollout_map, mix=None),
    "gradient-rollout": gradient_rollout_map,
    "grad-eclip": grad_eclip_map,
}
