"""Activation maximisation finds the image that maximises a class, a channel or a unit.

It is gradient ascent on the input (Erhan et al., 2009; Simonyan et al., 2014), by ONNX Runtime
alone, with an artifact that outputs the gradient of its score with respect to its input. Without
regularisation the ascent finds noise. The regularisers are L2 decay and blur (Yosinski et al.,
2015, "Understanding neural networks through deep visualization"), total variation (Mahendran and
Vedaldi, 2015), jitter (Mordvintsev et al., 2015), and the range of real pixels.
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
from .objective import Objective, Plane

Progress = Callable[[int, int], None]

_MOMENTS, _TINY = (0.9, 0.999), 1e-12  # Adam's
_GREY = 0.5  # white is 1
# Initial noise, tried in turn: its standard deviation, and the blur's, in pixels.
_NOISES = ((0.02, 0.0), *((spread, blur) for spread in (0.2, 0.4) for blur in (0.0, 1.0, 2.0, 4.0)))
_ROUNDS = 4


@dataclass(frozen=True)
class Ascent:
    """Settings of the ascent; lengths are in pixels, values of pixels go from 0 to 1.

    Attributes:
        steps: Number of session runs.
        rate: How far, approximately, a pixel moves in a step.
        decay: L2 decay: the share of its distance to grey that a pixel loses in a step.
        blur: Standard deviation of the Gaussian blur; 0: none.
        blur_every: Steps from one blur to the next.
        jitter: Largest shift of the image in each step; it wraps around the borders.
        variation: Weight of the total variation, the sum of the differences between neighbours.
        seed: Seed of the initial noise and of the shifts.
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
        """Raise InputError if a number is out of range."""
        numbers = asdict(self)
        least = {"steps": 1, "blur_every": 1}
        for name, value in numbers.items():
            if not np.isfinite(value) or value < least.get(name, 0):
                raise InputError(f"{name}={value}; give a number from {least.get(name, 0)} on")
        if self.rate <= 0:
            raise InputError(f"rate={self.rate}; give a number larger than 0")


@dataclass(frozen=True, eq=False)
class Visualization:
    """The result of an ascent.

    Attributes:
        image: RGB uint8 [H, W, 3], of the size of the model's input.
        curve: The score before each step, for the shifted image.
        start: The score of the initial grey image.
        score: The score of `image`.
        ascent: The settings.
    """

    image: Pixels
    curve: list[float]
    start: float
    score: float
    ascent: Ascent

    def draw_curve(self) -> Pixels:
        """Draw the curve: RGB uint8 [H, W, 3]."""
        return draw_curve(self.curve, "step", "score")

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types."""
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
    """Change grey noise until its score is high; the same seed gives the same image.

    Args:
        session: An artifact with `input_gradients`.
        selection: The value of its selector, for one image and one score: a class or a channel
            [1, 1], or weights [1, 1, *output].
        ascent: Settings; None: the defaults.
        region: For scores with positions: their weights, [*positions]; None: all equal.
        unit: The one position to maximise, instead of a region.
        progress: Called after each step with the number of finished steps and of all steps.

    Raises:
        ImageError: The artifact stores no preprocessing, so the range of a pixel is unknown.
        InputError: The artifact has no input gradients, does not take a batch of one, or takes
            more than an image; its scores have no such positions; or all gradients are zero.
        SessionError: ONNX Runtime failed.
    """
    objective = Objective(session, selection)
    if unit is not None:
        region = objective.unit(unit)
    if region is not None:
        objective.weight_positions(region)
    ascent = ascent or Ascent()
    random = np.random.default_rng(ascent.seed)
    pixels = _start(objective, random)
    start, curve = objective.score(_rounded(pixels)), list[float]()
    # Adam: steps of about ``rate`` a pixel, whatever the gradient's size (Kingma and Ba, 2015).
    (first, second), mean, square = _MOMENTS, np.zeros_like(pixels), np.zeros_like(pixels)
    for step in range(1, ascent.steps + 1):
        shift = random.integers(-ascent.jitter, ascent.jitter, 2, endpoint=True)
        score, slope = objective.slope(_rolled(pixels, shift))
        curve.append(score)
        drawn = ascent.variation * _unit(variation_slope(pixels))
        upwards = (_unit(_rolled(slope, -shift)) - drawn).astype(np.float32)
        mean = first * mean + (1 - first) * upwards
        square = second * square + (1 - second) * upwards**2
        size = np.sqrt(square / (1 - second**step))
        move = (ascent.rate * (mean / (1 - first**step)) / (size + _TINY)).astype(np.float32)
        pixels = (pixels + move - ascent.decay * (pixels - _GREY)).astype(np.float32)
        if ascent.blur and step % ascent.blur_every == 0:
            pixels = _blurred(pixels, ascent.blur)
        pixels = np.clip(pixels, 0, 1).astype(np.float32)
        progress(step, ascent.steps)
    found = _rounded(pixels)
    image = np.rint(found * 255).astype(np.uint8).transpose(1, 2, 0)
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return Visualization(np.ascontiguousarray(image), curve, start, objective.score(found), ascent)


def _start(objective: Objective, random: np.random.Generator) -> Plane:
    """Return grey with a little noise; coarser noise if the score is flat (an inactive ReLU).

    Fine noise cancels in the first layers; larger shapes activate their ReLUs.
    """
    for spread, blur in _NOISES * _ROUNDS:
        noise = random.standard_normal(objective.shape).astype(np.float32)
        drawn = _unit(_blurred(noise, blur)) if blur else noise
        pixels = np.clip(_GREY + spread * drawn, 0, 1).astype(np.float32)
        if objective.slope(pixels)[1].any():
            return pixels
    raise InputError(
        "the score does not change with the image, neither for grey nor for noise, so its gradient "
        "is zero; take another seed, or a layer before its ReLU"
    )


def variation_slope(pixels: Plane) -> Plane:
    """Return the gradient of the total variation, the sum of ``|difference|`` of neighbours.

    Both are [C, H, W].
    """
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
    """Divide a gradient by its root mean square; zero stays zero."""
    size = float(np.sqrt(np.mean(slope.astype(np.float64) ** 2)))
    return slope / np.float32(size) if size > 0 else slope


def _rolled(pixels: Plane, shift: NDArray[np.int64]) -> Plane:
    """Shift the image down and right; it wraps around."""
    return np.roll(pixels, (int(shift[0]), int(shift[1])), (1, 2))


def _blurred(pixels: Plane, deviation: float) -> Plane:
    planes = [cv2.GaussianBlur(plane, (0, 0), deviation) for plane in pixels]
    return np.stack(planes).astype(np.float32)


def _rounded(pixels: Plane) -> Plane:
    """Round pixels to values that an 8-bit file can store."""
    return np.rint(pixels * 255).astype(np.float32) / np.float32(255)
