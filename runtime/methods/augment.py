"""A `Change` flips or scales the images of a batch, and undoes the flip in their maps.

Test-time augmentation averages the maps of such copies: they have less noise than the map of a
single image (``aug_smooth`` in other libraries).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.selection import check_name
from ..session.session import Tensors
from .baselines import channel_axis
from .method_io import MethodInput

Augment: TypeAlias = Literal["flip", "scale"]

_FACTORS = (0.9, 1.0, 1.1)


@dataclass(frozen=True)
class Change:
    """One change of the model's input.

    Attributes:
        flipped: Left and right are exchanged.
        factor: Factor on the normalised values.
    """

    flipped: bool
    factor: float

    def apply(self, batch: MethodInput) -> Tensors:
        """Return the changed images, and the changed region if there is one, by input.

        Raises:
            InputError: The input is no image, the region has no columns that could be flipped, or
                the values are integers, or normalised by the graph itself.
        """
        spec, feeds = batch.session.spec, batch.feeds
        transform, images = spec.preprocess, feeds[batch.input]
        embedded = transform is not None and transform.embedded
        changed = {batch.input: images}
        if spec.region in feeds:
            region = feeds[spec.region]
            changed[spec.region] = np.broadcast_to(region, (len(images), *region.shape[1:]))
        if self.factor != 1:
            if embedded:
                raise InputError(
                    "augment='scale' multiplies normalised values, which an artifact with embedded "
                    "preprocessing makes itself; use augment='flip'"
                )
            if images.dtype.kind != "f":
                raise InputError(
                    f"augment='scale' multiplies values, and input '{batch.input}' takes "
                    f"{images.dtype}; leave augment out"
                )
            changed[batch.input] = (images * self.factor).astype(images.dtype, copy=False)
        if self.flipped:
            if images.ndim != 4 or len(batch.layer.grid) != 2:
                raise InputError(
                    f"augment='flip' exchanges left and right of images; input '{batch.input}' has "
                    f"shape {list(images.shape)}: use augment='scale'"
                )
            if spec.region in changed and changed[spec.region].ndim != 4:
                raise InputError(
                    "a region without rows and columns cannot be flipped; use "
                    "augment='scale' with it"
                )
            # Columns come last, except in channel-last images.
            axes = {batch.input: -2} if embedded or channel_axis(transform) == -1 else {}
            changed = {name: np.flip(value, axes.get(name, -1)) for name, value in changed.items()}
        return {name: np.ascontiguousarray(value) for name, value in changed.items()}

    def restore(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undo the flip in maps [N, K, h, w] of the changed images."""
        return np.flip(maps, -1) if self.flipped else maps


def choose_augment(augment: bool | str | Sequence[str]) -> tuple[Augment, ...]:
    """Return the requested augmentations: all of them for True, none for False.

    Raises:
        InputError: An augmentation is unknown.
    """
    if isinstance(augment, bool):
        return get_args(Augment) if augment else ()
    names = [augment] if isinstance(augment, str) else augment
    chosen = {check_name("augmentation", name, get_args(Augment)) for name in names}
    return tuple(name for name in get_args(Augment) if name in chosen)


def changes_of(augment: Sequence[Augment]) -> list[Change]:
    """Return every combination of flip and factor, except the one that changes nothing."""
    flips = (False, True) if "flip" in augment else (False,)
    factors = _FACTORS if "scale" in augment else (1.0,)
    every = [Change(flipped, factor) for flipped, factor in product(flips, factors)]
    return [change for change in every if change != Change(False, 1.0)]
