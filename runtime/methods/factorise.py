"""`factorise` writes non-negative rows as sums of a few non-negative concepts.

Collins, Achanta and Süsstrunk 2018, "Deep Feature Factorization For Concept Discovery", 1806.10206:
the rows are the places of some images, the columns a layer's channels. The factorisation is by the
multiplicative updates of Lee and Seung 2001, from a start that is computed (NNDSVD, Boutsidis and
Gallopoulos 2008), not drawn: the same rows give the same concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.float64]

_MOST = 500  # updates
_EVERY = 10  # updates between two looks at the error
_SMALLEST_GAIN = 1e-4  # of the first error, from one look to the next
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Factors:
    """What rows consist of.

    Attributes:
        strengths: How strong each concept is in each row, [rows, concepts]; the largest of each
            concept is 1.
        concepts: What each concept adds to the columns at strength 1, [concepts, columns]. They are
            ordered by their share.
        shares: The part that each concept is of the sum of all, [concepts]; together 1.
        error: The distance of the product to the rows, relative to their size (Frobenius).
    """

    strengths: Matrix
    concepts: Matrix
    shares: Matrix
    error: float


def factorise(rows: NDArray[Any], count: int) -> Factors:
    """Factorise rows so that ``strengths @ concepts`` is near them.

    Args:
        rows: Finite numbers from 0 on, not all of them 0, [rows, columns].
        count: The number of concepts, at most that of rows and of columns.
    """
    data = rows.astype(np.float64)
    left, right = _start(data, count)
    size = np.linalg.norm(data)
    first = before = np.linalg.norm(data - left @ right)
    for number in range(1, _MOST + 1):
        left *= data @ right.T / np.maximum(left @ (right @ right.T), _TINY)
        right *= left.T @ data / np.maximum(left.T @ left @ right, _TINY)
        if number % _EVERY == 0:
            after = np.linalg.norm(data - left @ right)
            if before - after <= _SMALLEST_GAIN * first:
                break
            before = after
    largest = left.max(axis=0)
    left = np.divide(left, largest, out=np.zeros_like(left), where=largest > 0)
    right *= largest[:, None]
    parts = left.sum(axis=0) * right.sum(axis=1)
    shares = parts / parts.sum()
    order = np.argsort(-shares, kind="stable")
    left, right = left[:, order], right[order]
    return Factors(left, right, shares[order], float(np.linalg.norm(data - left @ right) / size))


def _start(data: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """The positive or negative parts of the largest singular vectors, whichever weigh more.

    What would be 0 is the mean of the data: a product that is 0 would stay so.
    """
    vectors = _singular_vectors(data, count)
    left, right = np.empty((len(data), count)), np.empty((count, data.shape[1]))
    for place, (u, v) in enumerate(vectors):
        sides = [(np.maximum(sign * u, 0), np.maximum(sign * v, 0)) for sign in (1, -1)]
        weights = [np.linalg.norm(a) * np.linalg.norm(b) for a, b in sides]
        (a, b), weight = sides[int(np.argmax(weights))], max(weights)
        length = np.sqrt(weight) or 1.0
        left[:, place] = a / (np.linalg.norm(a) or 1.0) * length
        right[place] = b / (np.linalg.norm(b) or 1.0) * length
    mean = np.sqrt(data.mean() / count)
    return np.where(left > 0, left, mean), np.where(right > 0, right, mean)


def _singular_vectors(data: Matrix, count: int) -> list[tuple[Matrix, Matrix]]:
    """The pairs of the largest singular values, each times the root of its value.

    They follow from the smaller of the two matrices of inner products.
    """
    tall = len(data) > data.shape[1]
    inner = data.T @ data if tall else data @ data.T
    values, vectors = np.linalg.eigh(inner)
    found: list[tuple[Matrix, Matrix]] = []
    for place in range(1, count + 1):
        value, vector = np.sqrt(max(values[-place], 0.0)), vectors[:, -place]
        other = (data @ vector if tall else data.T @ vector) / (value or 1.0)
        u, v = (other, vector) if tall else (vector, other)
        found.append((u * np.sqrt(value), v * np.sqrt(value)))
    return found
