"""`Explainers` make the maps of all candidates for the same photographs, on any form of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...explain.pipeline import along_input, laid_on
from ...explain.trial import Trial
from ...methods.dispatch import formula_outputs
from ...output.render import Status, map_status
from ...spec import Layer
from .candidates import Candidate, method_maps, row_maps
from .subjects import Subjects

Floats = NDArray[np.float32]

_CELLS = 7  # of a layer whose grid is as large as the image says


class Maps(NamedTuple):
    """The maps of one candidate for N photographs.

    Attributes:
        raw: As the method gives them, float32 [N, h, w].
        whole: Over the model's input, [N, H, W]; a map with NaN or infinity is 0.
        status: Of each.
    """

    raw: Floats
    whole: Floats
    status: list[Status]


@dataclass(frozen=True)
class Explainers:
    """All candidates.

    Attributes:
        candidates: Methods at layers, then the rows to beat.
        layers: The layers by name; a random row has the cells of the first.
    """

    candidates: Sequence[Candidate]
    layers: Mapping[str, Layer]

    def trials(self) -> list[Trial]:
        """Return each method with a layer and its options."""
        first = next(iter(self.layers))
        return [
            (self.layers[one.layer or first], one.method, one.options)
            for one in self.candidates
            if not one.is_row
        ]

    def maps(self, subjects: Subjects, draw: int = 0) -> list[Maps]:
        """Return the maps of each candidate; one run of the artifact serves all formulas."""
        self._fetch_together(subjects)
        return [self.of(number, subjects, draw) for number in range(len(self.candidates))]

    def of(self, number: int, subjects: Subjects, draw: int = 0) -> Maps:
        """Return the maps of one candidate."""
        candidate = self.candidates[number]
        if candidate.is_row:
            raw = row_maps(candidate.method, subjects, self._cells, draw)
        else:
            raw = self._of_method(candidate, subjects)
        return _over_input(raw, candidate, subjects.size)

    @property
    def _cells(self) -> tuple[int, int]:
        """The first layer's grid; where it depends on the image, some."""
        grid = [extent or _CELLS for extent in next(iter(self.layers.values())).grid]
        return grid[0], grid[-1]

    def _of_method(self, candidate: Candidate, subjects: Subjects) -> Floats:
        spec = subjects.batch.session.spec
        raw = method_maps(
            candidate, self.layers,
            lambda method, layer, maps: along_input(laid_on(spec, layer, method), maps), subjects,
        )  # fmt: skip
        if raw.ndim != 3:
            raise InputError(
                f"maps of {candidate.method} have {raw.ndim - 1} axes; an evaluation scores those "
                "of photographs"
            )
        return raw

    def _fetch_together(self, subjects: Subjects) -> None:
        """Run the artifact once for what all formulas read."""
        batch = subjects.batch
        names = [
            name
            for one in self.candidates
            if not one.is_row
            for layer in self.layers.values()
            if one.layer in (None, layer.name)
            for name in formula_outputs(batch.session.spec, layer, one.method, one.options)
        ]
        if names:
            batch.fetch(dict.fromkeys([*batch.common_outputs, *names]))


def _over_input(raw: Floats, candidate: Candidate, size: tuple[int, int]) -> Maps:
    """Lay maps over the model's input: each cell covers an equal share, values are bilinear."""
    raw = raw.astype(np.float32, copy=False)
    status: list[Status] = [map_status(one, candidate.signed) for one in raw]
    finite = np.array([one != "nonfinite" for one in status])[:, None, None]
    clean = np.where(finite, raw, 0)
    height, width = size
    if clean.shape[1:] != size:
        clean = np.stack([
            cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in clean
        ])  # fmt: skip
    return Maps(raw, clean.astype(np.float32, copy=False), status)
