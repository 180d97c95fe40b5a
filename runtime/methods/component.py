"""These functions compute the first principal component of a layer's channels as a map, in float64.

`Operations.first_component` defines it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .operations import Kernel

Wide = NDArray[np.float64]
# Eigenvalues that rounding alone can make of a kernel matrix, whose entries are at most 1.
NOTHING = 1e-6


def first_component(terms: NDArray[Any], *, centre: bool = True) -> Wide:
    """Return the first component of terms [..., C, P] as [..., P]; NaN if a term is not finite.

    It comes from the smaller of two matrices of inner products, [C, C] or [P, P]. Their eigenvalues
    are squares, hence float64.
    """
    rows, finite = _finite(terms)
    if centre:
        rows = rows - rows.mean(axis=-1, keepdims=True)
    columns = np.swapaxes(rows, -1, -2)
    channels, places = rows.shape[-2:]
    if channels <= places:
        direction = _leading(rows @ columns)[1]
    else:
        direction = _unit(_leading(columns @ rows)[1] @ columns)
    component = (direction @ rows)[..., 0, :]
    return np.where(finite, _turned(component, rows), np.nan)


def first_kernel_component(terms: NDArray[Any], kernel: Kernel) -> Wide:
    """Return the first component of the centred places [C, P] by kernel PCA, [P].

    The matrix is always [P, P]: memory grows with P^2, time with P^3.
    """
    rows, finite = _finite(terms)
    rows = rows - rows.mean(axis=-1, keepdims=True)
    gamma = 1 / len(rows) if kernel.gamma is None else kernel.gamma
    inner = rows.T @ rows
    if kernel.name == "sigmoid":
        matrix = np.tanh(gamma * inner + 1)
    else:
        squares = np.diag(inner)
        matrix = np.exp(-gamma * (squares[:, None] + squares - 2 * inner))
    means = matrix.mean(axis=0)
    value, vector = _leading(matrix - means - means[:, None] + means.mean())
    component = np.sqrt(np.where(value > NOTHING, value, 0)) * vector[0]
    return np.where(finite, _turned(component, rows), np.nan)


def _finite(terms: NDArray[Any]) -> tuple[Wide, NDArray[np.bool_]]:
    """Return the terms in float64, with zeros for [C, P] that are not finite, and which are."""
    rows = terms.astype(np.float64)
    finite = np.all(np.isfinite(rows), axis=(-2, -1), keepdims=True)
    return np.where(finite, rows, 0), finite[..., 0]


def _leading(matrix: Wide) -> tuple[Wide, Wide]:
    """Return the largest eigenvalue of symmetric [..., m, m], and its eigenvector [..., 1, m]."""
    values, vectors = np.linalg.eigh(matrix)
    return values[..., -1], np.swapaxes(vectors[..., -1:], -1, -2)


def _unit(vectors: Wide) -> Wide:
    """Scale vectors [..., m] to length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _turned(component: Wide, rows: Wide) -> Wide:
    """Choose the sign of a component [..., P] so that it agrees with the sum of the rows."""
    agreement = (component * rows.sum(axis=-2)).sum(axis=-1, keepdims=True)
    return np.where(agreement < 0, -component, component)
