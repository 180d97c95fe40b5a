"""`NumpyOperations` evaluates formulas on numpy arrays."""

# ruff: noqa: D102 - `Operations` documents each operation.

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .component import first_component, first_kernel_component
from .operations import Kernel, Operations

Array: TypeAlias = NDArray[Any]

_CONSTANT = 1e-4  # relative to the largest gradient: rounding of an average stays below


def in_rows(tensor: Array, space: int) -> Array:
    """Convert to float32, as in the artifact, and join the axes from ``space`` on into one."""
    places = math.prod(tensor.shape[space:])
    return tensor.astype(np.float32, copy=False).reshape(*tensor.shape[:space], places)


class NumpyOperations:
    """`Operations` on float32 arrays."""

    def relu(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def root(self, x: Array) -> Array:
        return np.sqrt(x)

    def above(self, x: Array, bound: Array | float) -> Array:
        return (x > bound).astype(np.float32)

    def larger(self, x: Array, y: Array) -> Array:
        return np.maximum(x, y)

    def quotient(self, x: Array, divisor: Array) -> Array:
        shape = np.broadcast_shapes(x.shape, divisor.shape)
        return np.divide(x, divisor, out=np.zeros(shape, np.float32), where=divisor != 0)

    def sum(self, x: Array, axis: int, *, keep: bool = False) -> Array:
        return x.sum(axis=axis, keepdims=keep)

    def mean(self, x: Array, axis: int, *, keep: bool = False) -> Array:
        return x.mean(axis=axis, keepdims=keep)

    def norm(self, x: Array, axis: int, *, keep: bool = False) -> Array:
        return np.linalg.norm(x, axis=axis, keepdims=keep)

    def peak(self, x: Array, axis: int, *, keep: bool = False) -> Array:
        return x.max(axis=axis, keepdims=keep)

    def product(self, x: Array, y: Array) -> Array:
        return x @ y

    def insert(self, x: Array, axis: int) -> Array:
        return np.expand_dims(x, axis)

    def inner(self, x: Array, y: Array) -> Array:
        return x @ np.swapaxes(y, 1, 2)

    def combine(self, weights: Array, activations: Array) -> Array:
        return weights @ activations[:, 0]

    def at_places(self, weights: Array) -> Array:
        return weights[..., None]

    def nearest(self, likeness: Array, count: int) -> Array:
        classes = likeness.shape[1]
        others = likeness - 3 * np.eye(classes, dtype=np.float32)  # itself less than any other
        count = min(count, max(classes - 1, 1))
        least = np.sort(others, axis=2)[:, :, -count:][:, :, :1]
        return (others >= least).astype(np.float32)

    def first_component(
        self, terms: Array, *, centre: bool = True, kernel: Kernel | None = None
    ) -> Array:
        if kernel is None:
            return first_component(terms, centre=centre).astype(np.float32)
        count, groups, _, places = terms.shape
        found = np.empty((count, groups, places), np.float32)
        for at in np.ndindex(count, groups):  # one at a time: the matrices are large
            found[at] = first_kernel_component(terms[at], kernel)
        return found

    def is_constant(self, gradients: Array) -> bool:
        spread = np.abs(gradients - gradients[..., :1]).max(axis=(2, 3), initial=0)
        return not (spread > _CONSTANT * np.abs(gradients).max(axis=(2, 3), initial=0)).any()

    def classes(self, gradients: Array) -> int:
        return gradients.shape[1]

    def places(self, activations: Array) -> int:
        return activations.shape[3]


NUMPY: Operations[Array] = NumpyOperations()
