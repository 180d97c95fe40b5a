"""A warp moves an image as it says, and its adjoint is its transpose."""

from __future__ import annotations

import numpy as np
import pytest

from graftcam.runtime.visualize.warp import Warp

MOTIONS = [
    {},
    {"shift": (3, -2)},
    {"shift": (40.25, -31.5)},
    {"scale": 1.3},
    {"scale": 0.7, "turn": 0.2},
    {"shift": (-2, 5), "scale": 1.1, "turn": -3.0},
]


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_adjoint_is_the_transpose(motion: dict) -> None:
    warp = Warp((11, 14), **motion)
    here, there = noise(0, 3, 11, 14), noise(1, 3, 11, 14)
    forward = np.sum(warp.apply(here) * there, dtype=np.float64)
    back = np.sum(here * warp.adjoint(there), dtype=np.float64)
    # Sums of 462 products of numbers of size 1, in float32.
    assert abs(forward - back) < 1e-4
    # Constant images stay: the shares of a sample add up to 1.
    np.testing.assert_allclose(warp.apply(np.ones((1, 11, 14), np.float32)), 1, rtol=1e-6)


def test_a_shift_takes_whole_pixels_as_they_are_and_repeats_the_image() -> None:
    image = noise(0, 2, 6, 8)
    np.testing.assert_array_equal(Warp((6, 8)).apply(image), image)
    moved = Warp((6, 8), shift=(1, -3)).apply(image)
    np.testing.assert_array_equal(moved, np.roll(image, (-1, 3), (1, 2)))
    half = Warp((6, 8), shift=(0.5, 0)).apply(image)
    np.testing.assert_allclose(half, (image + np.roll(image, -1, 1)) / 2, rtol=1e-6, atol=1e-6)


def test_a_turn_and_a_scale_keep_the_centre() -> None:
    image = noise(0, 1, 9, 9)
    quarter = Warp((9, 9), turn=np.pi / 2).apply(image)
    np.testing.assert_allclose(quarter[0], np.rot90(image[0], -1), atol=1e-5)
    smaller = Warp((9, 9), scale=2).apply(image)
    np.testing.assert_allclose(smaller[0, 2:7, 2:7], image[0, ::2, ::2], atol=1e-6)
