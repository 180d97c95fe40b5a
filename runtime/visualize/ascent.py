"""Activation maximisation: the picture that a class, a channel or a unit answers to most.

Gradient ascent on the input (Erhan et al., 2009; Simonyan et al., 2014), by ONNX Runtime alone,
from an artifact that gives the gradient of its score with respect to its input. Left to itself the
ascent finds noise. What keeps it to pictures: L2 decay and blur (Yosinski et al., 2015,
"Understanding neural networks through deep visualization"), total variation (Mahendran and Vedaldi,
2015), jitter (Mordvintsev et al., 2015), and the range of real pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.image_files import Pixels
from ..session.session import Session
from .curve import draw_curve
from .objective import Climb, Plane

Progress = Callable[[int, int], None]

_MOMENTS, _TINY = (0.9, 0.999), 1e-12  # Adam's (Kingma and Ba, 2015)
_GREY = 0.5  # white is 1
# The start's noise, tried in turn: its standard deviation, and that of its blur in pixels.
_NOISES = ((0.02, 0.0), *((spread, blur) for spread in (0.2, 0.4) for blur in (0.0, 1.0, 2.0, 4.0)))
_ROUNDS = 4


@dataclass(frozen=True)
class Ascent:
    """How the input is changed; lengths are in pixels, values of pixels go from 0 to 1.

    Attributes:
        steps: Number of session runs.
        rate: How far a pixel moves in a step, about.
        decay: L2: the share of its distance to grey that a pixel loses in a step.
        blur: Standard deviation of the Gaussian blur; 0: none.
        blur_every: Steps from one blur to the next.
        jitter: The model sees the picture shifted, around its borders, by up to so much.
        variation: Weight of the total variation, the sum of the differences between neighbours.
        seed: Of the start's noise and of the shifts.
    """

    steps: int = 256
    rate: float = 0.02
    decay: float = 0.01
    blur: float = 0.8
    blur_every: int = 4
    jitter: int = 4
    variation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError where a number is out of range."""
        numbers = asdict(self)
        least = {"steps": 1, "blur_every": 1}
        for name, value in numbers.items():
            if not np.isfinite(value) or value < least.get(name, 0):
                raise InputError(f"{name}={value}; give a number from {least.get(name, 0)} on")
        if self.rate <= 0:
            raise InputError(f"rate={self.rate}; give a number larger than 0")


@dataclass(frozen=True, eq=False)
class Visualization:
    """What the ascent found.

    Attributes:
        image: The picture, RGB uint8 [H, W, 3], as the model takes it at the end of its transform.
        curve: The score before each step, on the shifted picture.
        start: The score of the grey picture that it began with.
        score: The score of `image`.
        ascent: How it was found.
    """

    image: Pixels
    curve: list[float]
    start: float
    score: float
    ascent: Ascent

    def draw_curve(self) -> Pixels:
        """The curve as a picture, RGB uint8 [H, W, 3]."""
        return draw_curve(self.curve, "step", "score")

    def to_dict(self) -> dict[str, Any]:
        """Numbers for JSON."""
        numbers = {"start": self.start, "score": self.score, "curve": self.curve}
        return {**numbers, "ascent": asdict(self.ascent)}


def visualize(
    session: Session,
    selection: NDArray[Any],
    ascent: Ascent | None = None,
    region: NDArray[Any] | None = None,
    unit: Sequence[int] | None = None,
    progress: Progress = lambda done, steps: None,
) -> Visualization:
    """Climb from grey noise to a picture with a high score; the same seed gives the same picture.

    Args:
        session: An artifact with `input_gradients`.
        selection: What its selector takes, for one picture and one score: a class or a channel
            [1, 1], or weights [1, 1, *output].
        ascent: How; None: the defaults.
        region: Of scores with positions: weights of these, [*positions]; None: all alike.
        unit: The one position to look at, instead of a region.
        progress: Called after each step with the number done and that of all.

    Raises:
        ImageError: The artifact stores no preprocessing, which says what a pixel is.
        InputError: It gives no input gradients, takes no batch of one, or more than a picture; its
            scores have no such positions; or no gradient leads anywhere.
        SessionError: ONNX Runtime failed.
    """
    climb = Climb(session, selection)
    if unit is not None:
        region = climb.unit(unit)
    if region is not None:
        climb.look_at(region)
    ascent = ascent or Ascent()
    random = np.random.default_rng(ascent.seed)
    pixels = _start(climb, random)
    start, curve, adam = climb.score(_rounded(pixels)), list[float](), _Adam(ascent.rate)
    for step in range(ascent.steps):
        shift = random.integers(-ascent.jitter, ascent.jitter, 2, endpoint=True)
        score, slope = climb.slope(_rolled(pixels, shift))
        curve.append(score)
        drawn = ascent.variation * _unit(variation_slope(pixels))
        move = adam.step((_unit(_rolled(slope, -shift)) - drawn).astype(np.float32))
        pixels = (pixels + move - ascent.decay * (pixels - _GREY)).astype(np.float32)
        if ascent.blur and (step + 1) % ascent.blur_every == 0:
            pixels = _blurred(pixels, ascent.blur)
        pixels = np.clip(pixels, 0, 1).astype(np.float32)
        progress(step + 1, ascent.steps)
    found = _rounded(pixels)
    image = np.rint(found * 255).astype(np.uint8).transpose(1, 2, 0)
    picture = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return Visualization(np.ascontiguousarray(picture), curve, start, climb.score(found), ascent)


def _start(climb: Climb, random: np.random.Generator) -> Plane:
    """Grey with a little noise; with coarser noise where the score is flat, as behind a shut ReLU.

    Fine noise cancels in the first layers, and shapes are what their ReLUs wait for.
    """
    for spread, blur in _NOISES * _ROUNDS:
        noise = random.standard_normal(climb.shape).astype(np.float32)
        drawn = _unit(_blurred(noise, blur)) if blur else noise
        pixels = np.clip(_GREY + spread * drawn, 0, 1).astype(np.float32)
        if climb.slope(pixels)[1].any():
            return pixels
    raise InputError(
        "the score does not change with the picture, neither at grey nor at noise: no way leads up "
        "from here; take another seed, or a layer before its ReLU"
    )


class _Adam:
    """Steps of about ``rate`` a pixel, whatever the gradient's size (Kingma and Ba, 2015)."""

    def __init__(self, rate: float) -> None:
        self._rate, self._count = rate, 0
        self._mean: Any = 0.0
        self._square: Any = 0.0

    def step(self, slope: Plane) -> Plane:
        """How far to go uphill."""
        first, second = _MOMENTS
        self._count += 1
        self._mean = first * self._mean + (1 - first) * slope
        self._square = second * self._square + (1 - second) * slope**2
        mean = self._mean / (1 - first**self._count)
        size = np.sqrt(self._square / (1 - second**self._count))
        return (self._rate * mean / (size + _TINY)).astype(np.float32)


def variation_slope(pixels: Plane) -> Plane:
    """Gradient of the total variation, the sum of ``|difference|`` of neighbours, [C, H, W]."""
    slope = np.zeros_like(pixels)
    for axis in (1, 2):
        rising = np.sign(np.diff(pixels, axis=axis))
        ends = [(0, 0)] * 3
        ends[axis] = (1, 0)
        slope += np.pad(rising, ends)
        ends[axis] = (0, 1)
        slope -= np.pad(rising, ends)
    return slope


def _unit(slope: Plane) -> Plane:
    """A gradient divided by its root mean square; zero stays zero."""
    size = float(np.sqrt(np.mean(slope.astype(np.float64) ** 2)))
    return slope / np.float32(size) if size > 0 else slope


def _rolled(pixels: Plane, shift: NDArray[np.int64]) -> Plane:
    """The picture moved down and right, what leaves it coming back at the other side."""
    return np.roll(pixels, (int(shift[0]), int(shift[1])), (1, 2))


def _blurred(pixels: Plane, deviation: float) -> Plane:
    planes = [cv2.GaussianBlur(plane, (0, 0), deviation) for plane in pixels]
    return np.stack(planes).astype(np.float32)


def _rounded(pixels: Plane) -> Plane:
    """Pixels that a file of 8 bits can hold."""
    return np.rint(pixels * 255).astype(np.float32) / np.float32(255)
