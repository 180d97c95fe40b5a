"""Images whose numbers are the Fourier coefficients of three decorrelated colours.

In pixels, steepest ascent finds fine noise: neighbours move independently. In photographs they do
not: amplitudes fall with the frequency (Field, 1987), and red, green and blue rise and fall
together. With coefficients in such units a step of one size moves coarse shapes far and fine
detail little (Olah et al., 2017, "Feature Visualization").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .adam import Adam
from .objective import Plane

# Columns: brightness, red to blue, green to magenta. Each is an eigenvector of the mean covariance
# of the RGB values of seven photographs (of scikit-image: astronaut, chelsea, coffee, motorcycle,
# rocket; of scikit-learn: china, flower), times its standard deviation; the mean variance of red,
# green and blue is 1. A test computes it again.
COLOURS = np.array(
    [[0.9813, -0.4369, 0.0398], [0.9347, 0.1160, -0.1288], [0.8974, 0.3569, 0.0906]], np.float32
)
# Amplitudes are the frequency to the power of this. Photographs have about -1; the steeper fall
# holds back the fine patterns that networks answer to and people do not see.
_FALL = -1.5


class Space:
    """Fourier coefficients whose amplitudes fall with the frequency, and the pixels they stand for.

    pixels = sigmoid(colours @ irfft2(amplitudes * coefficients)), with orthonormal transforms:
    coefficients of mean square 1 make planes of variance 1.

    Args:
        shape: Colours, height and width; one colour is grey.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels, height, width = shape
        self.colours = COLOURS if channels == 3 else np.ones((1, 1), np.float32)
        self.size = height, width
        rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
        #: Cycles per pixel, [H, W // 2 + 1].
        self.frequencies = np.hypot(rows, columns)
        # How many entries of the full spectrum each entry of this half stands for.
        self._copies = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0)
        amplitudes = np.maximum(self.frequencies, 1 / max(height, width)) ** _FALL
        # Of an entry with one copy the image takes only the real part, half of its square.
        power = np.sum((amplitudes * self._copies) ** 2 / 2) / (height * width)
        self.amplitudes = amplitudes / np.sqrt(power)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the coefficients: [C, H, W // 2 + 1]."""
        return len(self.colours), *self.frequencies.shape

    def pixels(self, coefficients: NDArray[np.complexfloating[Any]]) -> Plane:
        """Return the image, float32 [C, H, W] from 0 to 1."""
        planes = np.fft.irfft2(self.amplitudes * coefficients, self.size, norm="ortho")
        values = np.tensordot(self.colours, planes, 1)
        return (1 / (1 + np.exp(-values))).astype(np.float32)

    def gradient(self, slope: Plane, pixels: Plane) -> NDArray[np.complexfloating[Any]]:
        """Return the gradient with respect to the coefficients, from that of the pixels.

        Its real part is the derivative with respect to the real part, its imaginary part likewise.
        """
        planes = np.tensordot(self.colours.T, slope * pixels * (1 - pixels), 1)
        return np.fft.rfft2(planes, norm="ortho") * (self._copies * self.amplitudes)


class SpectrumImage:
    """An image of free coefficients, from coarse noise with the colours of photographs.

    Args:
        shape: Colours, height and width.
        random: The source of the noise.
        rate: About how far a coefficient moves in a step.
        spread: Root mean square of the coefficients at the start.
    """

    def __init__(
        self, shape: tuple[int, int, int], random: np.random.Generator, rate: float, spread: float
    ) -> None:
        self._space, self._adam = Space(shape), Adam(rate)
        parts = random.standard_normal((2, *self._space.shape)) * spread / np.sqrt(2)
        self._set(parts[0] + 1j * parts[1])

    def climb(self, slope: Plane, pace: float = 1.0) -> None:
        """Take a step."""
        gradient = self._space.gradient(slope, self.pixels)
        self._set(self._coefficients + pace * self._adam.step(gradient))

    def decay(self, share: float) -> None:
        """Make all coefficients smaller by this share."""
        self._set(self._coefficients * (1 - share))

    def blur(self, deviation: float) -> None:
        """Multiply each coefficient by the Gaussian's response at its frequency."""
        phase = 2 * np.pi * deviation * self._space.frequencies
        self._set(self._coefficients * np.exp(-(phase**2) / 2))

    def _set(self, coefficients: NDArray[np.complexfloating[Any]]) -> None:
        self._coefficients = coefficients
        self.pixels: Plane = self._space.pixels(coefficients)


class PhaseImage:
    """An image of fixed magnitudes, equal coefficients, and free phases (Fel et al., 2023).

    The phases say where the edges are; contrast and sharpness stay.

    Args:
        shape: Colours, height and width.
        random: The source of the phases at the start.
        rate: About how far a phase moves in a step, in radians.
    """

    def __init__(
        self, shape: tuple[int, int, int], random: np.random.Generator, rate: float
    ) -> None:
        self._space, self._adam = Space(shape), Adam(rate)
        self._set(random.uniform(-np.pi, np.pi, self._space.shape))

    def climb(self, slope: Plane, pace: float = 1.0) -> None:
        """Take a step; the derivative of r exp(i p) with respect to p is i r exp(i p)."""
        gradient = self._space.gradient(slope, self.pixels)
        turned = np.imag(np.conj(self._coefficients) * gradient)
        self._set(self._phases + pace * self._adam.step(turned))

    def decay(self, share: float) -> None:
        """Raise InputError: the magnitudes are fixed."""
        raise InputError(f"decay={share} changes magnitudes, and phases have fixed ones; give 0")

    def blur(self, deviation: float) -> None:
        """Raise InputError: the magnitudes are fixed."""
        raise InputError(f"blur={deviation} changes magnitudes, and phases have fixed ones; give 0")

    def _set(self, phases: NDArray[np.floating[Any]]) -> None:
        self._phases = phases
        self._coefficients = np.exp(1j * phases)
        self.pixels: Plane = self._space.pixels(self._coefficients)
