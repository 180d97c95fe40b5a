"""`attention_of` gives a PyTorch model's attention weights and their gradients by autograd.

It knows nothing of the exporter. Every softmax of the forward pass is recorded, whichever function
of PyTorch computes it; a fused attention is written out for that. So is every mixture of them, as
ConViT's gate makes one: a matrix that multiplies others, and whose rows sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Recorded:
    """A softmax of a model, or a mixture of them.

    Attributes:
        weights: [N, ...], the rest in the model's own order, flat.
        gradients: Of the score of each of K classes, [N, K, ...], likewise.
        shape: The shape that the softmax has in the model.
    """

    weights: Array
    gradients: Array
    shape: tuple[int, ...]


def attention_of(
    model: nn.Module, inputs: Any, classes: Array, score: Callable[[Any], Tensor]
) -> list[Recorded]:
    """Run a model and differentiate its scores by all that weighs keys.

    Args:
        model: In eval mode, of any precision.
        inputs: What it is called with, a tensor or a dict of tensors.
        classes: [N, K].
        score: Takes the scores [N, classes, ...] out of what the model returns.
    """
    with softmaxes() as seen, torch.enable_grad():
        scores = score(model(**inputs) if isinstance(inputs, dict) else model(inputs))
    some = [one for one in seen if is_of_keys(one)]
    made = list[list[Tensor]]()
    for column in np.asarray(classes).T:
        chosen = scores[torch.arange(len(scores)), torch.from_numpy(np.array(column))]
        made.append(
            list(
                torch.autograd.grad(
                    chosen.sum(), some, retain_graph=True, allow_unused=True, materialize_grads=True
                )
            )
        )
    count = len(scores)
    return [
        Recorded(
            _rows(one, count), np.stack([_rows(of[place], count) for of in made], 1), (*one.shape,)
        )
        for place, one in enumerate(some)
    ]


def is_of_keys(weights: Tensor) -> bool:
    """Whether a softmax may be of attention: not of classes, and of more than one number."""
    return weights.ndim > 2 and weights.shape[-1] > 1 and weights.requires_grad


def _rows(tensor: Tensor, count: int) -> Array:
    return tensor.detach().reshape(count, -1).numpy()


@contextmanager
def softmaxes() -> Generator[list[Tensor]]:
    """Record softmaxes over the last axis, and mixtures, in order, while the block runs."""
    seen = list[Tensor]()
    plain, free, product = torch.Tensor.softmax, torch.softmax, torch.Tensor.__matmul__

    def kept(result: Tensor, dim: int) -> Tensor:
        if dim in (-1, result.ndim - 1):
            seen.append(result)
        return result

    def multiplied(self: Tensor, other: Tensor) -> Tensor:
        if _is_mixture(self) and not any(_is_alias(self, one) for one in seen):
            seen.append(self)
        return product(self, other)

    def method(self: Tensor, dim: int, dtype: Any = None) -> Tensor:
        return kept(plain(self, dim, dtype=dtype), dim)

    def function(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
        return kept(free(input, dim, dtype=dtype), dim)

    def fused(query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Tensor:
        weights = kept(_weights(query, key, *args, **options), -1)
        groups = weights.shape[-3] // value.shape[-3] if options.get("enable_gqa") else 1
        return weights @ (value.repeat_interleave(groups, -3) if groups > 1 else value)

    with ExitStack() as stack:
        for place, name, new in (
            (torch.Tensor, "softmax", method),
            (torch.Tensor, "__matmul__", multiplied),
            (torch, "softmax", function),
            (nn.functional, "scaled_dot_product_attention", fused),
        ):
            stack.enter_context(mock.patch.object(place, name, new))
        # The fused path of a whole encoder layer has no softmax of its own.
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, before)
        yield seen


def _is_mixture(weights: Tensor) -> bool:
    if weights.ndim < 4 or not weights.requires_grad:
        return False
    values = weights.detach()
    return bool((values >= 0).all()) and bool(((values.sum(-1) - 1).abs() < 1e-4).all())


def _is_alias(one: Tensor, other: Tensor) -> bool:
    """Whether both are the same numbers, as before and after a dropout of a model that infers."""
    return one.data_ptr() == other.data_ptr() and one.numel() == other.numel()


def _weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """The weights of `scaled_dot_product_attention`, as its documentation writes them."""
    del dropout_p
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    products = query @ key.transpose(-2, -1)
    products = products * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        early = torch.ones(products.shape[-2:], dtype=torch.bool).tril()
        products = products.masked_fill(~early, -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        products = products.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        products = products + attn_mask
    return torch.exp(torch.log_softmax(products, -1))


def nearest(weights: Array, among: Sequence[Recorded]) -> int | None:
    """The number of the recorded softmax that has such weights; None where none has their size."""
    flat = weights.reshape(len(weights), -1)
    sized = [i for i, one in enumerate(among) if one.weights.shape == flat.shape]
    return min(sized, key=lambda i: float(np.linalg.norm(among[i].weights - flat)), default=None)
