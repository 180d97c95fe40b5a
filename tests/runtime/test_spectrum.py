"""Spectra of decorrelated colours: their statistics, their gradient, and what stays fixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime.errors import InputError
from graftcam.runtime.visualize.adam import Adam
from graftcam.runtime.visualize.spectrum import COLOURS, PhaseImage, Space, SpectrumImage
from support.images import read_rgb

SHAPES = [(3, 8, 10), (1, 7, 9), (3, 1, 6)]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    parts = random(seed).standard_normal((2, *shape))
    return parts[0] + 1j * parts[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_that_of_finite_differences(shape: tuple[int, int, int]) -> None:
    space = Space(shape)
    coefficients = noise(space.shape)
    weights = random(1).standard_normal(shape).astype(np.float32)
    gradient = space.gradient(weights, space.pixels(coefficients))
    for seed in range(4):
        step = 1e-2 * noise(space.shape, 2 + seed)
        ends = [
            np.sum(weights * space.pixels(coefficients + sign * step), dtype=np.float64)
            for sign in (1, -1)
        ]
        expected = np.sum(np.real(np.conj(gradient) * step))
        # The pixels are float32, and the central difference has an error of the third order.
        assert abs((ends[0] - ends[1]) / 2 - expected) < 1e-3 * np.sum(np.abs(gradient * step))


def test_amplitudes_fall_with_the_frequency_and_have_unit_power() -> None:
    space = Space((3, 64, 64))
    ratio = space.amplitudes[4, 0] / space.amplitudes[16, 0]
    np.testing.assert_allclose(ratio, 4**1.5)
    assert space.amplitudes[0, 0] == space.amplitudes[1, 0] == space.amplitudes.max()
    # Real and imaginary parts of variance 1 make a mean square of 2.
    planes = [
        np.fft.irfft2(space.amplitudes * noise(space.shape, seed), (64, 64), norm="ortho")
        for seed in range(100)
    ]
    variance = np.mean(np.square(planes)) / 2
    np.testing.assert_allclose(variance, 1, rtol=0.1)


def test_the_colours_are_those_of_photographs() -> None:
    folders = [Path(pytest.importorskip(name).__file__).parent for name in ("skimage", "sklearn")]
    names = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"]
    photographs = [folders[0] / "data" / name for name in names]
    photographs += [folders[1] / "datasets/images" / name for name in ("china.jpg", "flower.jpg")]
    values = [read_rgb(path).reshape(-1, 3) for path in photographs]
    covariance = np.mean([np.cov(one.T) for one in values], axis=0)
    covariance /= np.trace(covariance) / 3
    # The columns are orthogonal and multiply to the covariance: its scaled eigenvectors, but for
    # signs. Decoders of JPEG differ by a level.
    colours = COLOURS.astype(np.float64)
    np.testing.assert_allclose(colours @ colours.T, covariance, atol=2e-3)
    inner = colours.T @ colours
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=2e-3)
    assert (np.diff(np.diag(inner)) < 0).all()


def test_a_shifted_gradient_gives_a_shifted_step() -> None:
    images = [SpectrumImage((3, 16, 16), random(), 0.1, 0.0) for _ in range(2)]
    for seed in range(3):
        slope = random(seed).standard_normal((3, 16, 16)).astype(np.float32)
        images[0].climb(slope)
        images[1].climb(np.roll(slope, (5, -3), (1, 2)))
    expected = np.roll(images[0].pixels, (5, -3), (1, 2))
    np.testing.assert_allclose(images[1].pixels, expected, atol=1e-5)


def test_decay_and_blur_of_a_spectrum_lead_to_grey() -> None:
    image = SpectrumImage((3, 32, 32), random(), 0.1, 1.0)
    contrast = image.pixels.std()
    image.decay(0.5)
    assert 0.4 * contrast < image.pixels.std() < 0.7 * contrast
    rough = np.abs(np.diff(image.pixels)).mean()
    contrast = image.pixels.std()
    image.blur(1.5)
    assert np.abs(np.diff(image.pixels)).mean() < 0.7 * rough
    assert image.pixels.std() > 0.7 * contrast


def test_phases_move_uphill_and_leave_the_magnitudes() -> None:
    image = PhaseImage((3, 32, 32), random(), 0.05)
    weights = random(1).standard_normal((3, 32, 32)).astype(np.float32)

    def values(pixels: np.ndarray) -> np.ndarray:
        """Brightness and tints of each pixel: the colours are independent again."""
        planes = np.log(pixels.astype(np.float64) / (1 - pixels))
        return np.tensordot(np.linalg.inv(COLOURS.astype(np.float64)), planes, 1)

    before = image.pixels
    magnitudes = np.abs(np.fft.rfft2(values(before)))[:, :, 1:-1]
    for _ in range(5):
        image.climb(weights)
    assert np.sum(weights * image.pixels) > np.sum(weights * before) + 10
    after = np.abs(np.fft.rfft2(values(image.pixels)))[:, :, 1:-1]
    np.testing.assert_allclose(after, magnitudes, rtol=1e-2, atol=1e-2 * magnitudes.max())
    for change in (image.decay, image.blur):
        with pytest.raises(InputError, match=r"=0\.1 changes magnitudes, and phases have fixed"):
            change(0.1)


def test_the_first_step_of_adam_has_the_rate_whatever_the_gradient() -> None:
    for size in (1e-6, 1e6):
        step = Adam(0.1).step(size * np.array([1.0, -2.0]))
        np.testing.assert_allclose(step, [0.1, -0.1], rtol=1e-3)
    turned = Adam(0.1).step(np.array([3 + 4j]))
    np.testing.assert_allclose(turned, [0.06 + 0.08j])
