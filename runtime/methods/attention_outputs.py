"""These functions say which outputs a method of attention reads, or why it reads none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..spec import Spec
from ..spec.attention import Attention

_FOLLOWING = ("rollout", "gradient-rollout")  # the tokens, through all blocks


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


def result_outputs(record: Attention) -> list[str | None]:
    """Return the outputs that describe the result of the block that the score reads."""
    last = record.read_block
    return [last.queries, last.keys, last.values, last.result_gradients]


_TENSORS: dict[str, Callable[[Attention], list[str | None]]] = {
    "attention": _weights,
    "rollout": _weights,
    "gradient-rollout": _both,
    "legrad": lambda record: [None],
    "grad-eclip": result_outputs,
}


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
