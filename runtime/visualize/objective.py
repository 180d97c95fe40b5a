"""An artifact's score as a function of pixels, with its slope: what an ascent climbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..inputs.region import check_region
from ..session.session import Session, Tensors
from ..spec import Preprocess, Spec

Plane: TypeAlias = NDArray[np.float32]


class Climb:
    """One score of an artifact as a function of pixels in [0, 1], float32 [C, H, W].

    Args:
        session: An artifact with `input_gradients`.
        selection: What its selector takes, for one picture and one score.

    Raises:
        ImageError: The artifact stores no preprocessing, which says what a pixel is.
        InputError: It gives no input gradients, takes no batch of one, or more than a picture.
    """

    def __init__(self, session: Session, selection: NDArray[Any]) -> None:
        self._session, self._spec = session, session.spec
        self._gradients = _gradients(session)
        self._transform = _transform(session, session.spec)
        self._dtype = session.inputs[self._transform.input].dtype or np.float32
        self._asked: Tensors = {session.spec.selector: selection}
        spread = np.array(self._transform.std, np.float32)[:, None, None]
        self._factor = np.float32(255 * self._transform.scale) / spread
        self._offset = np.array(self._transform.mean, np.float32)[:, None, None] / spread

    @property
    def shape(self) -> tuple[int, int, int]:
        """Colours, height and width of the picture."""
        height, width = self._transform.size
        return len(self._transform.mean), height, width

    def unit(self, position: Sequence[int]) -> Plane:
        """The region [*positions] that holds one position alone.

        Raises:
            InputError: The scores have no such position.
        """
        extents = self._positions()
        inside = len(position) == len(extents) and all(
            0 <= place < extent for place, extent in zip(position, extents, strict=True)
        )
        if not inside:
            raise InputError(f"unit {list(position)} does not lie in {list(extents)} positions")
        region = np.zeros(extents, np.float32)
        region[tuple(position)] = 1
        return region

    def look_at(self, region: NDArray[Any]) -> None:
        """Weigh the positions of the score by ``region``, [*positions].

        Raises:
            InputError: The scores have no positions, or others.
        """
        extents = self._positions()
        assert self._spec.region is not None
        check_region(region[None, None], {1}, 1, extents)
        self._asked[self._spec.region] = region[None, None].astype(np.float32)

    def score(self, pixels: Plane) -> float:
        """The score of a picture."""
        name = self._spec.scores
        return float(self._run(pixels, [name])[name][0, 0])

    def slope(self, pixels: Plane) -> tuple[float, Plane]:
        """The score, and its gradient with respect to the pixels."""
        got = self._run(pixels, [self._spec.scores, self._gradients])
        slope = got[self._gradients][0, 0].astype(np.float32)
        if self._transform.layout == "nhwc":
            slope = np.moveaxis(slope, -1, 0)
        return float(got[self._spec.scores][0, 0]), slope * self._factor

    def _positions(self) -> tuple[int, ...]:
        """Extents of the score's positions, which only a run tells where they are dynamic."""
        score = self._spec.score
        if self._spec.region is None:
            raise InputError(
                f"{self._session.path.name} takes no region: its score has no positions; leave "
                "the region or unit out"
            )
        grey = np.full(self.shape, 0.5, np.float32)
        return score.positions(self._run(grey, [score.output])[score.output].shape)

    def _run(self, pixels: Plane, names: list[str]) -> Tensors:
        values = pixels * self._factor - self._offset
        if self._transform.layout == "nhwc":
            values = np.moveaxis(values, 0, -1)
        feeds = {self._transform.input: values[None].astype(self._dtype), **self._asked}
        return self._session.run(feeds, names)


def _gradients(session: Session) -> str:
    """Name of the output of input gradients."""
    if session.spec.input_gradients is None:
        raise InputError(
            f"{session.path.name} gives no input gradients; export it with --extra input_gradients"
        )
    return session.spec.input_gradients


def _transform(session: Session, spec: Spec) -> Preprocess:
    """The stored preprocessing, if one picture is all that the model takes."""
    name, transform = session.path.name, spec.preprocess
    if transform is None:
        raise ImageError(
            f"{name} stores no preprocessing, which says what a pixel is; export it with the "
            "model's transform (--mean and --std)"
        )
    if transform.embedded:
        raise InputError(
            f"{name} takes whole bytes for pixels, which have no slope; export it without "
            "--extra embed_preprocess"
        )
    required = {port.name for port in session.inputs.values() if port.required}
    others = sorted(required - {transform.input, *spec.own_inputs})
    if others or session.inputs[transform.input].shape[0] not in (None, 1):
        wanted = f"{others} beside the picture" if others else "more than one picture a run"
        raise InputError(f"{name} takes {wanted}; export a model of one picture")
    return transform
