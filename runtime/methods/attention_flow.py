"""Formulas that follow attention from the score back to the image's tokens.

They are formulas over `Algebra`, as those of CAM methods. A block's weights are [N, heads, T, T]:
row i says how much token i takes from each token j. The score reads the tokens behind the last
block; ``read`` [N or 1, J, T] says from which, J being 1 or K. A formula returns how much each
token counts, [N, J, T].

The chain of products begins at the score: a row times a matrix for each block, not a matrix times a
matrix, of which all rows but one would be for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from .operations import Algebra, T


@dataclass(frozen=True)
class Flow(Generic[T]):
    """What the formulas take.

    Attributes:
        read: How the score reads the tokens behind the last block, [N or 1, J, T]; rows sum to 1.
        weights: Of each block, in the order of the forward pass, [N, heads, T, T].
        gradients: The scores' gradients with respect to them, [N, K, heads, T, T].
    """

    read: T
    weights: Sequence[T]
    gradients: Sequence[T] = ()


Mix = Callable[[T], T]
"""From the weights of all heads, [N, heads, T, T], to one matrix, [N, T, T]."""


def attention(ops: Algebra[T], flow: Flow[T], mix: Mix[T] | None = None) -> T:
    """Raw attention: what the score's tokens look at in one block, the mean of its heads.

    Args:
        ops: The operations.
        flow: With the weights of that block only.
        mix: How the heads become one; None: their mean.
    """
    return _through(ops, flow.read, flow.weights[0], mix)


def rollout(ops: Algebra[T], flow: Flow[T], mix: Mix[T] | None = None) -> T:
    """Attention rollout (Abnar and Zuidema 2020): weights multiplied through all blocks.

    ``read A_L ... A_1`` with ``A = (mean of heads + I) / 2``: the identity stands for the residual
    connection. It is the same for all classes.
    """
    row = flow.read
    for weights in reversed(flow.weights):
        row = (row + _through(ops, row, weights, mix)) * 0.5
    return row


def gradient_rollout(ops: Algebra[T], flow: Flow[T]) -> T:
    """The relevance of attention by Chefer et al. 2021 (2103.15679), without relevance rules.

    ``read (I + E_L) ... (I + E_1)`` with ``E = mean over heads of ReLU(g A)``: where a class's
    score would rise with the attention.
    """
    row = flow.read
    for weights, gradients in zip(reversed(flow.weights), reversed(flow.gradients), strict=True):
        row = row + _relevance(ops, row, weights, gradients)
    return row


def pooled_relevance(ops: Algebra[T], read: T, weights: T, gradients: T) -> T:
    """How a pool reads the tokens for `gradient_rollout`: ``mean over heads of ReLU(g A)``.

    Args:
        ops: The operations.
        read: [N or 1, 1, 1]: there is one query.
        weights: [N, heads, 1, T].
        gradients: [N, K, heads, 1, T].
    """
    return _relevance(ops, read, weights, gradients)


def class_rollout(ops: Algebra[T], start: T, weights: Sequence[T], mix: Mix[T] | None = None) -> T:
    """How a class token collects itself and the tokens behind it, for `rollout`.

    In class attention (CaiT) the class token alone looks, and the others stay as they are: in each
    block, its row is ``(mean of heads + I) / 2``, theirs is I.

    Args:
        ops: The operations.
        start: 1 at the class token, which is the first, else 0: [N or 1, J, 1 + T].
        weights: Of each block, [N, heads, 1, 1 + T].
        mix: How the heads become one; None: their mean.

    Returns:
        [N, J, 1 + T].
    """
    row = start
    for one in reversed(weights):
        own = ops.sum(row * start, 2, keep=True)
        row = row + (_through(ops, own, one, mix) - own * start) * 0.5
    return row


def class_relevance(ops: Algebra[T], start: T, weights: Sequence[T], gradients: Sequence[T]) -> T:
    """How a class token collects itself and the tokens behind it, for `gradient_rollout`.

    Its row is ``I + mean over heads of ReLU(g A)``; see `class_rollout`.

    Args:
        ops: The operations.
        start: 1 at the class token, else 0: [N or 1, J, 1 + T].
        weights: Of each block, [N, heads, 1, 1 + T].
        gradients: Of each block, [N, K, heads, 1, 1 + T].

    Returns:
        [N, K, 1 + T].
    """
    row = start
    for one, slope in zip(reversed(weights), reversed(gradients), strict=True):
        row = row + _relevance(ops, ops.sum(row * start, 2, keep=True), one, slope)
    return row


def legrad(ops: Algebra[T], gradients: Sequence[T]) -> T:
    """LeGrad (Bousselham et al. 2024, 2404.03214): where each block's score rises with attention.

    The mean over blocks, heads and queries of ``ReLU(g)``, where g is the gradient of the score
    that the model's head gives a block's own tokens, by that block's weights.

    Args:
        ops: The operations.
        gradients: Of each block, [N, K, heads, queries, T].
    """
    total = [ops.mean(ops.mean(ops.relu(one), 3), 2) for one in gradients]
    summed = total[0]
    for one in total[1:]:
        summed = summed + one
    return summed * (1.0 / len(total))


def grad_eclip(ops: Algebra[T], query: T, keys: T, values: T, gradients: T) -> T:
    """Grad-ECLIP (Zhao et al. 2024, 2502.18816): values by their effect, loosened attention.

    ``ReLU(sum over channels of w v_i) l_i``, where w is the score's gradient with respect to the
    class token's attention result, v_i the value of token i, and l_i the cosine of the class
    token's query and key i over all heads, stretched to [0, 1] over the tokens, in place of the
    softmax.

    Args:
        ops: The operations.
        query: Of the class token, [N, heads, 1, width].
        keys: Of the tokens on the grid, [N, heads, P, width].
        values: Likewise.
        gradients: [N, K, heads, 1, width].

    Returns:
        [N, K, P].
    """
    dots = ops.sum(ops.sum(query * keys, 3), 1)
    size = ops.root(ops.sum(ops.sum(keys * keys, 3), 1))
    cosine = ops.quotient(dots, size)  # the query's own length falls out of the stretch
    least = -ops.peak(-cosine, 1, keep=True)
    span = ops.peak(cosine, 1, keep=True) - least
    loose = ops.quotient(cosine - least, span)
    effect = ops.sum(ops.sum(gradients * ops.insert(values, 1), 4), 2)
    return ops.relu(effect * ops.insert(loose, 1))


def _through(ops: Algebra[T], row: T, weights: T, mix: Mix[T] | None) -> T:
    """Rows [N or 1, J, T] times the heads' weights, [N, J, T]."""
    if mix is not None:
        return ops.product(row, mix(weights))
    return ops.mean(ops.product(ops.insert(row, 1), weights), 1)


def _relevance(ops: Algebra[T], row: T, weights: T, gradients: T) -> T:
    """Rows [N or 1, J, T] times the mean of ReLU(g A), [N, K, T]."""
    raised = ops.relu(gradients * ops.insert(weights, 1))
    each = ops.product(ops.insert(ops.insert(row, 2), 2), raised)
    return ops.sum(ops.mean(each, 2), 2)
