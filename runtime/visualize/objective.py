"""The objective of the ascent is an artifact's score as a function of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..inputs.region import check_region
from ..session.session import Session, Tensors
from ..spec import Preprocess

Plane: TypeAlias = NDArray[np.float32]


class Objective:
    """One score of an artifact as a function of pixels in [0, 1], float32 [C, H, W].

    Args:
        session: An artifact with `input_gradients`.
        selection: The value of its selector, for one image and one score.

    Raises:
        ImageError: The artifact stores no preprocessing, so the range of a pixel is unknown.
        InputError: The artifact has no input gradients, does not take a batch of one, takes more
            than an image, or is a detector.
    """

    def __init__(self, session: Session, selection: NDArray[Any]) -> None:
        self._session, self._spec = session, session.spec
        self._gradients = _gradients(session)
        self._transform = _transform(session)
        port = session.inputs[self._transform.input]
        self._dtype, self._single = port.dtype or np.float32, port.shape[0] == 1
        self._own_feeds: Tensors = {session.spec.selector: selection}
        spread = np.array(self._transform.std, np.float32)[:, None, None]
        self._factor = np.float32(255 * self._transform.scale) / spread
        self._offset = np.array(self._transform.mean, np.float32)[:, None, None] / spread

    @property
    def shape(self) -> tuple[int, int, int]:
        """Colours, height and width of the image."""
        height, width = self._transform.size
        return 1 if self._transform.is_grey else 3, height, width

    def unit(self, position: Sequence[int]) -> Plane:
        """Return the region [*positions] that is 1 at one position and 0 elsewhere.

        Raises:
            InputError: The scores have no such position.
        """
        extents = self._positions()
        inside = len(position) == len(extents) and all(
            0 <= place < extent for place, extent in zip(position, extents, strict=True)
        )
        if not inside:
            raise InputError(f"unit {list(position)} is outside the {list(extents)} positions")
        region = np.zeros(extents, np.float32)
        region[tuple(position)] = 1
        return region

    def weight_positions(self, region: NDArray[Any]) -> None:
        """Weight the positions of the score by ``region``, [*positions].

        Raises:
            InputError: The scores have no positions, or a different number of them.
        """
        extents = self._positions()
        assert self._spec.region is not None
        check_region(region[None, None], {1}, 1, extents)
        self._own_feeds[self._spec.region] = region[None, None].astype(np.float32)

    def score(self, pixels: Plane) -> float:
        """Return the score of an image, float32 [C, H, W]."""
        name = self._spec.scores
        return float(self._run(pixels[None], [name])[name][0, 0])

    def slopes(self, images: Plane) -> tuple[NDArray[np.float32], Plane]:
        """Return the scores of images, float32 [N, C, H, W], and the gradients of their pixels.

        One run takes all images, unless the artifact has a fixed batch of one.
        """
        if self._single and len(images) > 1:
            each = [self.slopes(image[None]) for image in images]
            scores, slopes = zip(*each, strict=True)
            return np.concatenate(scores), np.concatenate(slopes)
        got = self._run(images, [self._spec.scores, self._gradients])
        slope = got[self._gradients][:, 0]
        if self._transform.layout == "nhwc":
            slope = np.moveaxis(slope, -1, 1)
        slope: Plane = (slope * self._factor).astype(np.float32)
        if self._transform.is_grey:
            slope = slope.sum(axis=1, keepdims=True)
        return got[self._spec.scores][:, 0].astype(np.float32), self._reordered(slope)

    def _positions(self) -> tuple[int, ...]:
        """Return the extents of the score's positions, from a run since they may be dynamic."""
        score = self._spec.score
        if self._spec.region is None:
            raise InputError(
                f"{self._session.path.name} takes no region: its score has no positions; leave "
                "the region or unit out"
            )
        grey = np.full(self.shape, 0.5, np.float32)
        return score.positions(self._run(grey[None], [score.output])[score.output].shape)

    def _reordered(self, images: Plane) -> Plane:
        """RGB planes in the order of the model's channels, or those in the order RGB."""
        return images[:, ::-1] if self._transform.channels == "bgr" else images

    def _run(self, images: Plane, names: list[str]) -> Tensors:
        values = self._reordered(images) * self._factor - self._offset
        if self._transform.layout == "nhwc":
            values = np.moveaxis(values, 1, -1)
        feeds = {name: np.repeat(one, len(images), 0) for name, one in self._own_feeds.items()}
        feeds[self._transform.input] = values.astype(self._dtype)
        return self._session.run(feeds, names)


def _gradients(session: Session) -> str:
    """Return the name of the output with the input's gradients."""
    if session.spec.detector is not None:
        raise InputError(
            f"{session.path.name} is a detector: another box is the best in each step, so there is "
            "no one score to maximise; export the model with detector='off' (--detector off), and "
            "the axis and offset of its classes, to maximise a class at a place"
        )
    if session.spec.input_gradients is None:
        raise InputError(
            f"{session.path.name} has no input gradients; export it with "
            "extras={'input_gradients'} (--extra input_gradients)"
        )
    return session.spec.input_gradients


def _transform(session: Session) -> Preprocess:
    """Return the stored preprocessing, if the model takes exactly one image."""
    name, transform = session.path.name, session.spec.preprocess
    if transform is None:
        raise ImageError(
            f"{name} stores no preprocessing, so the range of a pixel is unknown; export it with "
            "the model's transform (--mean and --std)"
        )
    if transform.embedded:
        raise InputError(
            f"{name} takes uint8 pixels, which have no gradient; export it without the extra "
            "embed_preprocess"
        )
    others = sorted({port.name for port in session.model_inputs} - {transform.input})
    if others or session.inputs[transform.input].shape[0] not in (None, 1):
        surplus = f"{others} beside the image" if others else "more than one image in a run"
        raise InputError(f"{name} takes {surplus}; export a model that takes one image")
    return transform
