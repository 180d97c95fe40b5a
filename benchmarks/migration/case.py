"""A `Case` is one call of another package, graftcam's call for the same map, and how to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Convert = Callable[[Array], Array]
LAYER = "block11_relu"  # the target layer, in all frameworks
_ALIKE = 0.9999  # correlation of maps that are taken for the same


@dataclass(frozen=True)
class Case:
    """One row of the page.

    Attributes:
        call: The peer's call, as its users write it; the key of its map.
        method: The id of graftcam's method.
        options: Options of the method.
        convert: What the peer does to the raw map; applied to graftcam's before the comparison.
            See `benchmarks.migration.convert`.
        augment: Average over changed copies of the image.
        second: Explain the second-best class in the same request, too.
        why: Why the maps differ, or why they are not measured; may be empty if they are the same.
    """

    call: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    convert: str = "none"
    augment: bool = False
    second: bool = False
    why: str = ""

    @property
    def python(self) -> str:
        """The arguments of `Explainer.explain`, without the image and a single class."""
        classes = "[c, d], " if self.second else ""
        options = f", options={dict(self.options)}".replace("'", '"') if self.options else ""
        return f'{classes}method="{self.method}"{options}' + (
            ", augment=True" if self.augment else ""
        )

    @property
    def shell(self) -> str:
        """The options of ``graftcam explain``, likewise."""
        words = ["--class C --class D"] if self.second else []
        words += [f"--method {self.method}"]
        words += [f"--option {name}={str(value).lower()}" for name, value in self.options.items()]
        words += ["--augment flip --augment scale"] if self.augment else []
        return " ".join(words)


def agreement(theirs: Array, ours: Array) -> dict[str, float]:
    """Compare two maps of the same shape.

    Returns:
        ``difference``, the largest one, as a share of the peer's largest magnitude, and
        ``correlation`` (Pearson).

    Raises:
        ValueError: The shapes differ, or a map is empty or not finite: nothing would be compared.
    """
    if theirs.shape != ours.shape:
        raise ValueError(f"maps of shapes {theirs.shape} and {ours.shape} cannot be compared")
    theirs, ours = theirs.astype(np.float64), ours.astype(np.float64)
    largest = np.abs(theirs).max()
    if not (np.isfinite(theirs).all() and np.isfinite(ours).all() and np.ptp(ours) and largest):
        raise ValueError("a map is empty or not finite")
    return {
        "difference": float(np.abs(theirs - ours).max() / largest),
        "correlation": float(np.corrcoef(theirs.ravel(), ours.ravel())[0, 1]),
    }


def same(row: Mapping[str, Any]) -> bool:
    """Whether the maps of a row are taken for the same."""
    return row["correlation"] >= _ALIKE
