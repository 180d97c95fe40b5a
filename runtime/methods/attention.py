"""These methods follow the attention of transformers.

Their maps lie on the grid of the model's tokens: [N, K, *grid]. An artifact either makes them
itself (``--extra rollout``), or gives the tensors (``--layer attention``), of which they are made
here.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..checks import check_value
from ..errors import InputError
from .attention_maps import (
    Compute,
    Fusion,
    attention_map,
    grad_eclip_map,
    gradient_rollout_map,
    mixed_heads,
    rollout_map,
)
from .attention_outputs import attention_of, attention_outputs, why_not_through
from .method_io import MethodInput, MethodOutput


def attention(batch: MethodInput, *, block: int = -1, head: int | None = None) -> MethodOutput:
    """Raw attention: what the score's tokens look at in one block; no class.

    Args:
        batch: The batch.
        block: Number of the block from 0; negative ones count from the end, where a pool is last.
        head: Number of the head; None: the mean of all.
    """
    default = block == -1 and head is None
    return _explain(batch, "attention", partial(attention_map, block=block, head=head), default)


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
    mix = None if default else partial(mixed_heads, fusion=fusion, discard=discard)
    return _explain(batch, "rollout", partial(rollout_map, mix=mix), default)


def gradient_rollout(batch: MethodInput) -> MethodOutput:
    """Gradient-weighted rollout (Chefer et al. 2021, 2103.15679), without relevance rules."""
    return _explain(batch, "gradient-rollout", gradient_rollout_map, True)


def legrad(batch: MethodInput) -> MethodOutput:
    """LeGrad (Bousselham et al. 2024, 2404.03214): each block's own score by its attention."""
    return _explain(batch, "legrad", None, True)


def grad_eclip(batch: MethodInput) -> MethodOutput:
    """Grad-ECLIP (Zhao et al. 2024, 2502.18816): values by their effect, loosened attention."""
    return _explain(batch, "grad-eclip", grad_eclip_map, True)


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
