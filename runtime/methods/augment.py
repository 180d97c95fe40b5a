"""Test-time augmentation: changed copies of what the artifact is fed, and their maps changed back.

Averaging the maps of such copies takes away some of the noise that a single picture's map has (the
``aug_smooth`` of other libraries).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.selection import known
from .request import Question

Augment: TypeAlias = Literal["flip", "scale"]

_FACTORS = (0.9, 1.0, 1.1)


@dataclass(frozen=True)
class Variant:
    """One change of the model's input.

    Attributes:
        flipped: Left and right are exchanged.
        factor: What the values after normalisation are multiplied by.
    """

    flipped: bool
    factor: float

    def change(self, question: Question, classes: NDArray[np.int64], width: int) -> Question:
        """The question about the changed pictures.

        Args:
            question: About the plain pictures.
            classes: What to explain, [N, K]: ranks could stand for other classes once changed.
            width: The input's axis of columns.

        Raises:
            InputError: The region has no columns that could be flipped, or the values are
                normalised by the graph itself.
        """
        spec, feeds = question.session.spec, dict(question.feeds)
        pictures = feeds[question.input]
        if self.factor != 1:
            if spec.preprocess is not None and spec.preprocess.embedded:
                raise InputError(
                    "augment='scale' multiplies normalised values, which an artifact with embedded "
                    "preprocessing makes itself; use augment='flip'"
                )
            feeds[question.input] = (pictures * self.factor).astype(pictures.dtype)
        if spec.class_index is not None:
            feeds[spec.class_index] = classes
        if self.flipped:
            feeds[question.input] = np.flip(feeds[question.input], width).copy()
            if spec.region in feeds:
                feeds[spec.region] = self._flipped_region(feeds[spec.region])
        return replace(question, feeds=feeds)

    def restore(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps [N, K, h, w] of the changed pictures as those of the plain ones."""
        return np.flip(maps, -1) if self.flipped else maps

    @staticmethod
    def _flipped_region(region: NDArray[Any]) -> NDArray[Any]:
        if region.ndim != 4:
            raise InputError(
                "a region whose positions are no rows and columns cannot be flipped; use "
                "augment='scale' with it"
            )
        return np.flip(region, -1).copy()


def choose_augment(augment: bool | str | Sequence[str]) -> tuple[Augment, ...]:
    """The augmentations asked for: all of them for True, none for False.

    Raises:
        InputError: An unknown one.
    """
    if isinstance(augment, bool):
        return get_args(Augment) if augment else ()
    names = [augment] if isinstance(augment, str) else augment
    wanted = [known("augmentation", name, get_args(Augment)) for name in names]
    return tuple(name for name in get_args(Augment) if name in wanted)


def variants(augment: Sequence[Augment]) -> list[Variant]:
    """All changes but the one that changes nothing: each flip with each factor."""
    flips = (False, True) if "flip" in augment else (False,)
    factors = _FACTORS if "scale" in augment else (1.0,)
    every = [Variant(flipped, factor) for flipped, factor in product(flips, factors)]
    return [variant for variant in every if variant != Variant(False, 1.0)]
