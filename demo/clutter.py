"""Clutter fills the background of a canvas: a gradient, soft blobs, thin strokes and noise."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SUBPIXEL_BITS = 3


@dataclass(frozen=True)
class Palette:
    """Colours of one canvas: muted ones for the clutter, strong ones for the ink.

    Attributes:
        hue: Hue of the clutter, in [0, 1).
        dark: Whether the ink is bright on a dark ground; else dark on a light one.
    """

    hue: float
    dark: bool

    @staticmethod
    def choose(rng: np.random.Generator) -> Palette:
        """Draw a palette."""
        return Palette(float(rng.random()), bool(rng.random() < 0.7))

    @property
    def shade(self) -> float:
        """Grey level, in [0, 1], of the shadow that separates the ink from the clutter."""
        return 0.05 if self.dark else 0.97

    def ground(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a colour for the clutter: float32 [3], RGB in [0, 1]."""
        value = rng.uniform(0.12, 0.48) if self.dark else rng.uniform(0.68, 0.95)
        saturation = rng.uniform(0.3, 0.75) if self.dark else rng.uniform(0.08, 0.4)
        return _rgb(self.hue + rng.normal(0.0, 0.07), saturation, value)

    def ink(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a colour for a digit: float32 [3], RGB in [0, 1]."""
        if self.dark:
            return _rgb(rng.random(), rng.uniform(0.0, 0.6), rng.uniform(0.82, 1.0))
        return _rgb(rng.random(), rng.uniform(0.5, 1.0), rng.uniform(0.1, 0.45))


def background(size: int, palette: Palette, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw clutter: float32 [size, size, 3], RGB in [0, 1].

    Args:
        size: Height and width in pixels.
        palette: The colours.
        rng: Random generator.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    slope = 0.5 + 0.7 * (np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None])
    slope = np.clip(slope, 0.0, 1.0).astype(np.float32)[..., None]
    ground = (1.0 - slope) * palette.ground(rng) + slope * palette.ground(rng)
    # OpenCV draws smooth edges only on 8-bit images.
    image = (ground * 255.0 + 0.5).astype(np.uint8)
    for _ in range(rng.integers(4, 9)):
        _blob(image, palette.ground(rng), rng)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 3.0)).astype(np.uint8, copy=False)
    for _ in range(rng.integers(5, 13)):
        _stroke(image, palette, rng)
    return image.astype(np.float32) / np.float32(255.0)


def add_noise(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add sensor noise and quantise: RGB in [0, 1] to uint8, same shape."""
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0.005, 0.03)
    return (np.clip(image + noise, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _blob(image: NDArray[np.uint8], colour: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Paint a filled ellipse on ``image`` in place."""
    size = image.shape[0]
    centre, axes = rng.integers(0, size, 2), rng.integers(size // 16, size // 4, 2)
    cv2.ellipse(
        image, centre.tolist(), axes.tolist(), rng.uniform(0, 180), 0, 360, _eight_bit(colour), -1
    )


def _stroke(image: NDArray[np.uint8], palette: Palette, rng: np.random.Generator) -> None:
    """Paint a line or an arc on ``image`` in place, either thinner than a digit or paler.

    Thin strokes have colours close to the ink's, so that colour alone does not reveal a digit.
    """
    size, fine = image.shape[0], 1 << _SUBPIXEL_BITS
    colour, thickness = palette.ground(rng), int(rng.integers(2, 5))
    if rng.random() < 0.5:
        loud = rng.uniform(0.2, 0.8)
        colour, thickness = (1.0 - loud) * colour + loud * palette.ink(rng), 1
    style = (_eight_bit(colour), thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    start = rng.integers(-8 * fine, (size + 8) * fine, 2)
    if rng.random() < 0.5:
        end = start + (rng.normal(0.0, 0.35, 2) * size * fine).astype(np.int64)
        cv2.line(image, start.tolist(), end.tolist(), *style)
    else:
        axes = rng.integers(4 * fine, size // 3 * fine, 2)
        turn, first = rng.uniform(0.0, 180.0), rng.uniform(0.0, 360.0)
        last = first + rng.uniform(60.0, 280.0)
        cv2.ellipse(image, start.tolist(), axes.tolist(), turn, first, last, *style)


def _eight_bit(colour: NDArray[np.floating]) -> list[float]:
    """Convert a colour from [0, 1] to OpenCV's range for 8-bit images."""
    return (colour * 255.0).tolist()


def _rgb(hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    """Convert a colour; the hue wraps around."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32)
