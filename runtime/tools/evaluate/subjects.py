"""`Subjects` are photographs with a class each, as one batch of an artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...methods.baselines import channel_axis
from ...methods.method_io import MethodInput
from ...methods.rerun import Rerun
from ...session.heads import Heads
from ...session.session import Session

Floats = NDArray[np.float32]
Changed = Callable[[int, int], Floats]
"""Makes one variant of one image: number of the variant and of the image in, [H, W, C] out."""


@dataclass(frozen=True)
class Subjects:
    """N photographs with a class each.

    Attributes:
        batch: The artifact's inputs, at any layer; its selector has the class ids, int64 [N, 1].
            A fixed batch axis is filled with copies of the last photograph.
        count: N, without the copies.
    """

    batch: MethodInput
    count: int

    def __post_init__(self) -> None:
        """Raise InputError if the model takes no images that can be changed."""
        session, name = self.batch.session, self.batch.input
        transform, shape = session.spec.preprocess, self.batch.feeds[name].shape
        if transform is not None and transform.embedded:
            raise InputError(
                f"{session.path.name} prepares its images itself, and measures change them as the "
                "model takes them; export it without embed_preprocess"
            )
        if len(shape) != 4:
            raise InputError(
                f"input '{name}' has shape {list(shape)}; measures change images, [N, channels, "
                "height, width]"
            )

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class ids, [N, 1], with those of copies."""
        return self.batch.feeds[self.batch.session.spec.selector]

    @cached_property
    def images(self) -> Floats:
        """The images as the model takes them, [N, H, W, C], without copies."""
        images = self.batch.feeds[self.batch.input][: self.count]
        return np.moveaxis(images, self._axis, -1).astype(np.float32)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's input."""
        return self.images.shape[1:3]

    @cached_property
    def confidence(self) -> Floats:
        """The confidence of the unchanged images, [N]."""
        return self.confidences(1, lambda _, image: self.images[image])[0]

    def confidences(self, count: int, changed: Changed) -> Floats:
        """Return the confidence of each variant, [count, N].

        It is the class's probability, or its score if scores are not those of a classification.
        """
        return self._rerun().confidences(count, self._variants(changed))[:, : self.count, 0]

    def scores(self, count: int, changed: Changed) -> Floats:
        """Return the score of each variant, [count, N]."""
        return self._rerun().scores(count, self._variants(changed))[:, : self.count, 0]

    def with_images(self, images: Floats) -> Subjects:
        """Return the same classes of other images, [N, H, W, C]."""
        feeds = {**self.batch.feeds, self.batch.input: self._as_input(images)}
        return replace(self, batch=replace(self.batch, feeds=feeds))

    def with_classes(self, classes: NDArray[np.int64]) -> Subjects:
        """Return the same images with other classes, [N] or [N, 1]."""
        ids = self._padded(classes.reshape(self.count, 1))
        feeds = {**self.batch.feeds, self.batch.session.spec.selector: ids}
        return replace(self, batch=replace(self.batch, feeds=feeds))

    def on(self, session: Session, heads: Heads | None) -> Subjects:
        """Return the same photographs for another form of the artifact."""
        return replace(self, batch=replace(self.batch, session=session, heads=heads))

    @property
    def _axis(self) -> int:
        return channel_axis(self.batch.session.spec.preprocess)

    def _rerun(self) -> Rerun:
        return Rerun(self.batch.session, self.batch.input, self.batch.feeds)

    def _variants(self, changed: Changed) -> Callable[[slice], NDArray[Any]]:
        original = self.batch.feeds[self.batch.input]

        def variants(part: slice) -> NDArray[Any]:
            numbers = range(part.start, part.stop)
            made = np.empty((len(numbers), *original.shape), original.dtype)
            for variant, number in zip(made, numbers, strict=True):
                for row in range(self.count):
                    variant[row] = np.moveaxis(changed(number, row), -1, self._axis)
                variant[self.count :] = variant[self.count - 1]
            return made

        return variants

    def _as_input(self, images: Floats) -> NDArray[Any]:
        dtype = self.batch.feeds[self.batch.input].dtype
        return self._padded(np.moveaxis(images, -1, self._axis)).astype(dtype)

    def _padded(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Fill up a fixed batch axis with copies of the last row."""
        lacking = len(self.batch.feeds[self.batch.input]) - len(rows)
        return np.concatenate([rows, np.repeat(rows[-1:], lacking, axis=0)])
