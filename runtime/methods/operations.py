"""The formulas of CAM methods are written in `Operations`.

A formula is a function ``(operations, *tensors, **options)`` that returns maps. `numpy_operations`
evaluates it; `exporter.heatmap.graph_operations` writes it as ONNX nodes. A formula gets a layer
with its P places on one axis: activations [N, 1, C, P], and gradients of K scores [N, K, C, P]. Its
maps are [N, K, P], or [N, 1, P] if it takes no gradients, so that its maps do not depend on the
class. All of these are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar


class Tensor(Protocol):
    """The operators of a formula's tensors; shapes broadcast."""

    def __add__(self, other: Self | float, /) -> Self: ...
    def __sub__(self, other: Self | float, /) -> Self: ...
    def __mul__(self, other: Self | float, /) -> Self: ...
    def __neg__(self) -> Self: ...


T = TypeVar("T", bound=Tensor)

ROUNDING = 1e-6
"""Relative differences between places up to this are rounding, not evidence: the precision of a sum
over a thousand channels in float32."""


@dataclass(frozen=True)
class Kernel:
    """The kernel that replaces inner products in kernel PCA.

    Attributes:
        name: ``sigmoid``: tanh(gamma <x, y> + 1); ``rbf``: exp(-gamma |x - y|^2).
        gamma: The scale; None: 1 / C, scikit-learn's choice.
    """

    name: str = "sigmoid"
    gamma: float | None = None


class Algebra(Protocol[T]):
    """Functions of any tensors, by numpy or in a graph."""

    def relu(self, x: T, /) -> T:
        """The tensor with 0 where it is negative."""
        ...

    def root(self, x: T, /) -> T:
        """The square root."""
        ...

    def above(self, x: T, bound: T | float, /) -> T:
        """1 where ``x`` exceeds ``bound``, else 0."""
        ...

    def larger(self, x: T, y: T, /) -> T:
        """The larger one of two numbers."""
        ...

    def quotient(self, x: T, divisor: T, /) -> T:
        """``x / divisor``, and 0 where the divisor is 0."""
        ...

    def sum(self, x: T, axis: int, /, *, keep: bool = False) -> T:
        """The sum along an axis, which stays with extent 1 if ``keep``."""
        ...

    def mean(self, x: T, axis: int, /, *, keep: bool = False) -> T:
        """The mean along an axis."""
        ...

    def norm(self, x: T, axis: int, /, *, keep: bool = False) -> T:
        """The Euclidean norm along an axis."""
        ...

    def peak(self, x: T, axis: int, /, *, keep: bool = False) -> T:
        """The largest number along an axis."""
        ...

    def product(self, x: T, y: T, /) -> T:
        """Products of matrices: [..., I, J] and [..., J, M] give [..., I, M]."""
        ...

    def insert(self, x: T, axis: int, /) -> T:
        """The tensor with a new axis of extent 1, which has this number afterwards."""
        ...


class Operations(Algebra[T], Protocol[T]):
    """Functions of a layer's tensors as well."""

    def inner(self, x: T, y: T, /) -> T:
        """Inner products of rows: [N, I, C] and [N, J, C] give [N, I, J]."""
        ...

    def combine(self, weights: T, activations: T, /) -> T:
        """The weighted sum over the channels: [N, K, C] and [N, 1, C, P] give [N, K, P]."""
        ...

    def at_places(self, weights: T, /) -> T:
        """Weights [N, K, C] as [N, K, C, 1], the same for all places."""
        ...

    def nearest(self, likeness: T, count: int, /) -> T:
        """Mark the ``count`` other classes that are most like each class.

        Args:
            likeness: [N, K, K] in [-1, 1].
            count: Number of other classes; all if there are fewer. Classes that equal the last one
                in likeness are marked too. With K = 1 the class counts as its own neighbour.

        Returns:
            [N, K, K], 1 where the class of the column is near to that of the row, else 0.
        """
        ...

    def first_component(
        self, terms: T, /, *, centre: bool = True, kernel: Kernel | None = None
    ) -> T:
        """Compute the first principal component of the channels at each place.

        The P places are points with C coordinates; the component is their projection on the
        direction in which they spread most. The sign of an eigenvector is arbitrary. Here it is
        chosen so that the component does not correlate negatively with the sum over the channels,
        the map that it replaces.

        Args:
            terms: [N, J, C, P].
            centre: Subtract each channel's mean first: spread around the mean, not around 0.
            kernel: For kernel PCA, which always centres.

        Returns:
            [N, J, P].
        """
        ...

    def is_constant(self, gradients: T, /) -> bool:
        """Whether gradients [N, K, C, P] are the same at all places."""
        ...

    def classes(self, gradients: T, /) -> int | None:
        """K; None if it is dynamic."""
        ...

    def places(self, activations: T, /) -> int | None:
        """P; None if it is dynamic."""
        ...


def weighted_sum(
    ops: Operations[T], weights: T, activations: T, *, relu: bool, eigen_smooth: bool
) -> T:
    """Sum the activations over the channels, each channel times its weight.

    Args:
        ops: The operations.
        weights: [N, K, C].
        activations: [N, 1, C, P].
        relu: Set negative values to 0.
        eigen_smooth: As in `sum_of`.

    Returns:
        [N, K, P].
    """
    if eigen_smooth:
        terms = ops.at_places(weights) * activations
        return sum_of(ops, terms, relu=relu, eigen_smooth=True)
    summed = ops.combine(weights, activations)
    return ops.relu(summed) if relu else summed


def sum_of(ops: Operations[T], terms: T, *, relu: bool, eigen_smooth: bool) -> T:
    """Sum ``terms`` [N, K, C, P] over the channels: [N, K, P].

    Args:
        ops: The operations.
        terms: [N, K, C, P].
        relu: Set negative values to 0.
        eigen_smooth: Take the first principal component instead of the sum. It shows what most
            channels agree on and has less noise.
    """
    summed = ops.first_component(terms) if eigen_smooth else ops.sum(terms, 2)
    return ops.relu(summed) if relu else summed
