"""These methods follow the attention of transformers.

Their maps lie on the grid of the model's tokens: [N, K, *grid]. An artifact either makes them
itself (``--extra rollout``), or gives the tensors (``--layer attention``), of which they are made
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..checks import check_value
from ..errors import InputError
from ..session.session import Tensors
from ..spec import Spec
from ..spec.attention import Attention
from . import attention_flow as flow
from .method_io import MethodInput, MethodOutput
from .numpy_operations import NUMPY

Array: TypeAlias = NDArray[np.float32]
Fusion: TypeAlias = Literal["mean", "max", "min"]
_FOLLOWING = ("rollout", "gradient-rollout")  # the tokens, through all blocks


def attention(batch: MethodInput, *, block: int = -1, head: int | None = None) -> MethodOutput:
    """Raw attention: what the score's tokens look at in one block; no class.

    Args:
        batch: The batch.
        block: Number of the block from 0; negative ones count from the end, where a pool is last.
        head: Number of the head; None: the mean of all.
    """
    default = block == -1 and head is None
    return _explain(batch, "attention", partial(_attention, block=block, head=head), default)


def rollout(batch: MethodInput, *, fusion: Fusion = "mean", discard: float = 0.0) -> MethodOutput:
    """Attention rollout (Abnar and Zuidema 2020, 2005.00928); no class.

    Args:
        batch: The batch.
        fusion: How heads become one matrix: their mean, as in the paper, maximum or minimum.
        discard: Share of the smallest numbers of each matrix that are set to 0, in [0, 1).
    """
    check_value("method 'rollout': discard", discard, float)
    if not 0 <= discard < 1:
        raise InputError(f"method 'rollout': discard={discard}; give a share in [0, 1)")
    default = fusion == "mean" and not discard
    mix = None if default else partial(_mixed, fusion=fusion, discard=discard)
    return _explain(batch, "rollout", partial(_rollout, mix=mix), default)


def gradient_rollout(batch: MethodInput) -> MethodOutput:
    """Gradient-weighted rollout (Chefer et al. 2021, 2103.15679), without relevance rules."""
    return _explain(batch, "gradient-rollout", _gradient_rollout, True)


def legrad(batch: MethodInput) -> MethodOutput:
    """LeGrad (Bousselham et al. 2024, 2404.03214): each block's own score by its attention."""
    return _explain(batch, "legrad", None, True)


def grad_eclip(batch: MethodInput) -> MethodOutput:
    """Grad-ECLIP (Zhao et al. 2024, 2502.18816): values by their effect, loosened attention."""
    return _explain(batch, "grad-eclip", _grad_eclip, True)


Compute: TypeAlias = Callable[[Attention, Tensors, int], Array]


def attention_of(spec: Spec, method: str) -> Attention:
    """Return the record of an artifact's attention.

    Raises:
        InputError: It has none.
    """
    if spec.attention is None:
        raise InputError(
            f"method '{method}' follows attention, and the artifact has none; export the model "
            f"with --extra {method}, or with --layer attention for all methods of attention"
        )
    return spec.attention


def attention_outputs(spec: Spec, method: str, options: Mapping[str, Any]) -> list[str]:
    """Return the names of the outputs that a method of attention reads.

    Raises:
        InputError: The artifact lacks them.
    """
    record = attention_of(spec, method)
    if not record.chain:
        raise InputError(
            f"method '{method}' follows tokens of the whole image, and each attention of the model "
            "is of windows, of a few places or of channels; use a layer's method"
        )
    finished = (record.methods or {}).get(method)
    if finished is not None and not options:
        return [finished]
    names = _TENSORS[method](record)
    if not names or None in names:
        raise InputError(_lacking(record, method, finished is not None))
    return [name for name in names if name is not None]


def _lacking(record: Attention, method: str, finished: bool) -> str:
    if finished:
        return (
            f"the artifact makes the map of '{method}' itself, with its default options; for "
            "others export it with --layer attention"
        )
    if method == "legrad":
        return "method 'legrad' is made in the graph; export the model with --extra legrad"
    if any(block.weights for block in record.blocks):
        return (
            f"method '{method}' starts at a class token, and the model has none that the score is "
            "read off; use 'gradient-rollout', or export it with --extra legrad"
        )
    return (
        f"the artifact has the maps of {', '.join(record.methods or {})} only; export the model "
        f"with --extra {method}, or with --layer attention"
    )


def _weights(record: Attention) -> list[str | None]:
    return [block.weights for block in record.flowing]


def _both(record: Attention) -> list[str | None]:
    blocks = record.flowing
    return [name for block in blocks for name in (block.weights, block.gradients)]


def _result(record: Attention) -> list[str | None]:
    last = record.read_block
    return [last.queries, last.keys, last.values, last.result_gradients]


_TENSORS: dict[str, Callable[[Attention], list[str | None]]] = {
    "attention": _weights,
    "rollout": _weights,
    "gradient-rollout": _both,
    "legrad": lambda record: [None],
    "grad-eclip": _result,
}


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


def _explain(
    batch: MethodInput, method: str, compute: Compute | None, default: bool
) -> MethodOutput:
    spec = batch.session.spec
    record = attention_of(spec, method)
    names = attention_outputs(spec, method, {} if default else {"changed": True})
    got = batch.fetch([*batch.common_outputs, *names])
    if default and record.methods and method in record.methods:
        return batch.output(got, got[names[0]])
    assert compute is not None
    apart = [block.name for block in record.blocks if block.role == "apart"]
    if reason := why_not_through(method, apart, len(record.blocks), "attention"):
        raise InputError(reason)
    classes = got[spec.scores].shape[1]
    maps = compute(record, got, classes)
    return batch.output(got, np.repeat(maps, classes, axis=1) if maps.shape[1] == 1 else maps)


def why_not_through(method: str, apart: Sequence[str], blocks: int, instead: str) -> str | None:
    """Say why a method cannot follow a model's tokens; None: it can, or follows none.

    Args:
        method: Its id.
        apart: Names of the blocks in which not every token looks at every token.
        blocks: Number of all blocks.
        instead: The method to take.
    """
    if method not in _FOLLOWING or not apart:
        return None
    return (
        f"method '{method}' follows the tokens through all blocks, but attention '{apart[0]}' is "
        f"of windows, of a few places or of other tokens ({len(apart)} of {blocks} are); use "
        f"'{instead}' or a layer's method"
    )


def _attention(
    record: Attention, got: Tensors, classes: int, *, block: int, head: int | None
) -> Array:
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


def _rollout(
    record: Attention, got: Tensors, classes: int, *, mix: Callable[[Array], Array] | None
) -> Array:
    weights = [got[block.weights or ""] for block in record.chain]
    collect = [got[block.weights or ""] for block in record.collectors]
    if record.class_blocks:
        read = flow.class_rollout(NUMPY, _first(collect[0].shape[-1]), collect, mix)[:, :, 1:]
    elif collect:
        read = flow.attention(NUMPY, flow.Flow(_one(), collect))
    else:
        read = _read(record, weights[-1].shape[-1])
    return on_grid(record, flow.rollout(NUMPY, flow.Flow(read, weights), mix))


def _gradient_rollout(record: Attention, got: Tensors, classes: int) -> Array:
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


def _grad_eclip(record: Attention, got: Tensors, classes: int) -> Array:
    queries, keys, values, gradients = (got[name or ""] for name in _result(record))
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


def _mixed(weights: Array, *, fusion: Fusion, discard: float) -> Array:
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
    "attention": partial(_attention, block=-1, head=None),
    "rollout": partial(_rollout, mix=None),
    "gradient-rollout": _gradient_rollout,
    "grad-eclip": _grad_eclip,
}
