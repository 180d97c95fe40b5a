"""A candidate makes maps to score: a method at a layer, or a row that any method must beat."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...methods.dispatch import run_method
from ...methods.table import METHODS
from ...spec import Layer
from .subjects import Subjects

Floats = NDArray[np.float32]
Aligned = Callable[[str, Layer, NDArray[Any]], NDArray[Any]]
"""Turns the axes of a method's maps at a layer, [N, K, *space], into those of the input."""

_CENTRE = 4  # a Gaussian whose sigma is this part of each side


@dataclass(frozen=True)
class Candidate:
    """A method at a layer, or a row to beat.

    Attributes:
        method: The method's id, or the row's name.
        layer: The layer; None: the row needs none.
        options: Options of the method.
        signed: Whether negative values are evidence against the class.
    """

    method: str
    layer: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    signed: bool = False

    @property
    def is_row(self) -> bool:
        """Whether it is a row to beat."""
        return self.method in ROWS

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells it from others."""
        return self.method, self.layer


def method_maps(
    candidate: Candidate, layers: Mapping[str, Layer], aligned: Aligned, subjects: Subjects
) -> Floats:
    """Return the maps of a method, float32 [N, h, w], along the model's input.

    Raises:
        InputError: The artifact lacks what the method needs, or an option has a wrong value.
    """
    layer = layers[candidate.layer or next(iter(layers))]
    output = run_method(subjects.batch.at_layer(layer), candidate.method, candidate.options)
    return aligned(candidate.method, layer, output.maps)[: subjects.count, 0]


def row_maps(row: str, subjects: Subjects, cells: tuple[int, int], draw: int = 0) -> Floats:
    """Return the maps of a row to beat, float32 [N, H, W], from 0 upwards.

    Args:
        row: One of `ROWS`.
        subjects: The photographs.
        cells: The cells of a random map.
        draw: Tells random maps of one photograph apart, as those of different weights.
    """
    make = ROWS[row]
    numbers = range(subjects.count)
    return np.stack([make(subjects.images[n], cells, _seed(subjects, n, draw)) for n in numbers])


def _seed(subjects: Subjects, number: int, draw: int) -> int:
    """Return a seed that differs for other pixels, classes and draws, and for nothing else."""
    data = np.ascontiguousarray(subjects.images[number]).tobytes()
    return zlib.crc32(data + bytes(f"{subjects.classes[number, 0]} {draw}", "ascii"))


def _random(image: Floats, cells: tuple[int, int], seed: int) -> Floats:
    grid = np.random.default_rng(seed).random(cells, np.float32)
    height, width = image.shape[:2]
    return np.asarray(cv2.resize(grid, (width, height)), np.float32)


def _centre(image: Floats, _cells: tuple[int, int], _seed: int) -> Floats:
    height, width = image.shape[:2]
    rows, columns = (
        np.exp(-0.5 * ((np.arange(extent) + 0.5 - extent / 2) / (extent / _CENTRE)) ** 2)
        for extent in (height, width)
    )
    return (rows[:, None] * columns).astype(np.float32)


def _sobel(image: Floats, _cells: tuple[int, int], _seed: int) -> Floats:
    grey = np.pad(image.mean(axis=2), 1, mode="reflect")
    # Not by OpenCV, whose last digits depend on where in memory the image lies.
    down, right = grey[2:] - grey[:-2], grey[:, 2:] - grey[:, :-2]
    down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    right = right[:-2] + 2 * right[1:-1] + right[2:]
    return np.sqrt(down * down + right * right)


def _intensity(image: Floats, _cells: tuple[int, int], _seed: int) -> Floats:
    grey = image.mean(axis=2)
    return grey - grey.min()


ROWS: dict[str, Callable[[Floats, tuple[int, int], int], Floats]] = {
    "random": _random, "centre": _centre, "sobel": _sobel, "intensity": _intensity,
}  # fmt: skip
"""What any method must beat: noise of the layer's cells, a bump in the middle, edges, brightness.

As in XAI-TRIS (Clark et al. 2023, 2306.12816), where known methods often do not.
"""


def candidates_of(
    methods: Mapping[str, Mapping[str, Any]], layers: Mapping[str, Layer], without: set[str]
) -> list[Candidate]:
    """Return each method at each layer, then the rows to beat.

    Args:
        methods: Options by method.
        layers: The layers by name.
        without: Methods that have no layer: one candidate each.
    """
    found: list[Candidate] = []
    for method, options in methods.items():
        at = [None] if method in without else [*layers]
        signed = METHODS[method].is_signed(options)
        found += [Candidate(method, layer, options, signed) for layer in at]
    return [*found, *(Candidate(row) for row in ROWS)]
