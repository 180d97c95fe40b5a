"""Activation maximisation finds the image that maximises a class, a channel or a unit.

It is gradient ascent on the input (Erhan et al., 2009; Simonyan et al., 2014), by ONNX Runtime
alone, with an artifact that outputs the gradient of its score with respect to its input. On free
pixels the ascent finds noise. Two things lead it to shapes: the image is a spectrum of decorrelated
colours (`spectrum`), and it must keep its score when it is moved, scaled and turned (Mordvintsev et
al., 2015; Olah et al., 2017, "Feature Visualization"). On pixels L2 decay, blur (Yosinski et al.,
2015, "Understanding neural networks through deep visualization") and total variation (Mahendran
and Vedaldi, 2015) help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.image_files import Pixels
from ..session.session import Session
from .curve import draw_curve
from .objective import Objective, Plane
from .pixels import Image, PixelImage, root_mean_square, unit_size
from .settings import Ascent
from .spectrum import PhaseImage, SpectrumImage
from .warp import Warp

Progress = Callable[[int, int], None]

# Initial noise, tried in turn: its standard deviation, and the blur's, in pixels.
_NOISES = ((0.02, 0.0), *((spread, blur) for spread in (0.2, 0.4) for blur in (0.0, 1.0, 2.0, 4.0)))
_ROUNDS = 4
# Initial contrasts of a spectrum, and the share of the steepest gradient that is steep enough.
_CONTRASTS, _STEEP = (0.1, 0.2, 0.4, 0.8, 1.6), 0.1


@dataclass(frozen=True, eq=False)
class Visualization:
    """The result of an ascent.

    Attributes:
        image: RGB uint8 [H, W, 3], of the size of the model's input.
        curve: The mean score of the moved copies before each step.
        start: The score of the initial noise.
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
    """Change noise until its score is high; the same seed gives the same image.

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
    image = _start(objective, random, ascent)
    start, curve = objective.score(_rounded(image.pixels)), list[float]()
    for step in range(1, ascent.steps + 1):
        score, slope = _mean_slope(objective, image.pixels, random, ascent)
        curve.append(score)
        # With pixels each step counts alike. With a spectrum Adam's steps follow the gradient's
        # size, which grows while the score does.
        if ascent.parametrisation == "pixels":
            slope = unit_size(slope)
        rough = unit_size(variation_slope(image.pixels))
        slope = slope - ascent.variation * root_mean_square(slope) * rough
        image.climb(slope.astype(np.float32), pace(step, ascent))
        if ascent.decay:
            image.decay(ascent.decay)
        if ascent.blur and step % ascent.blur_every == 0:
            image.blur(ascent.blur)
        progress(step, ascent.steps)
    found = _rounded(image.pixels)
    levels = np.rint(found * 255).astype(np.uint8).transpose(1, 2, 0)
    levels = np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels
    return Visualization(np.ascontiguousarray(levels), curve, start, objective.score(found), ascent)


def _start(objective: Objective, random: np.random.Generator, ascent: Ascent) -> Image:
    """Return noise for which the score is not flat."""
    for spread, grain in _NOISES * _ROUNDS:
        image, steepness = first_noise(objective, random, ascent, spread, grain)
        if steepness > 0:
            return image
    raise InputError(
        "the score does not change with the image, neither for grey nor for noise, so its gradient "
        "is zero; take another seed, or a layer before its ReLU"
    )


def first_noise(
    objective: Objective, random: np.random.Generator, ascent: Ascent, spread: float, grain: float
) -> tuple[Image, float]:
    """Return an image of noise, and the root mean square of its gradient.

    Pixels get noise of the deviation `spread`, blurred by `grain`: fine noise cancels in the first
    layers, and larger shapes activate their ReLUs. A spectrum gets the least contrast that has a
    steep gradient: little leaves room for detail, and some models answer to strong shapes only.
    """
    shape, rate = objective.shape, ascent.rate
    images = list[Image]()
    if ascent.parametrisation == "pixels":
        images.append(PixelImage(shape, random, rate, spread, grain))
    elif ascent.parametrisation == "phase":
        images.append(PhaseImage(shape, random, rate))
    else:
        state = random.bit_generator.state
        for contrast in _CONTRASTS:
            random.bit_generator.state = state
            images.append(SpectrumImage(shape, random, rate, contrast))
    found = [root_mean_square(objective.slopes(image.pixels[None])[1]) for image in images]
    first = next(place for place, size in enumerate(found) if size >= _STEEP * max(found))
    return images[first], found[first]


def _warps(pixels: Plane, random: np.random.Generator, ascent: Ascent) -> list[Warp]:
    """Draw the motion of each copy; shifts are whole pixels, so that they alone do not blur."""
    size, steepest = pixels.shape[1:], np.deg2rad(ascent.rotation)
    least, most = -np.log(ascent.enlarge), np.log(ascent.shrink)
    warps = list[Warp]()
    for _ in range(ascent.batch):
        down, right = random.integers(-ascent.jitter, ascent.jitter, 2, endpoint=True)
        scale, turn = np.exp(random.uniform(least, most)), random.uniform(-steepest, steepest)
        warps.append(Warp((size[0], size[1]), (down, right), scale, turn))
    return warps


def _mean_slope(
    objective: Objective, pixels: Plane, random: np.random.Generator, ascent: Ascent
) -> tuple[float, Plane]:
    """Return the mean score of moved copies, and its gradient."""
    warps = _warps(pixels, random, ascent)
    copies = np.stack([warp.apply(pixels) for warp in warps])
    if ascent.noise:
        deviation = np.float32(ascent.noise * pixels.std())
        copies += deviation * random.standard_normal(copies.shape, np.float32)
    scores, slopes = objective.slopes(copies)
    returned = [warp.adjoint(slope) for warp, slope in zip(warps, slopes, strict=True)]
    return float(scores.mean()), np.mean(returned, axis=0)


def pace(step: int, ascent: Ascent) -> float:
    """Return the factor on the rate of a step, from 1: it falls to 0 linearly at the end."""
    left, falling = ascent.steps - step + 1, ascent.cooling * ascent.steps
    return min(1.0, left / falling) if falling else 1.0


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


def _rounded(pixels: Plane) -> Plane:
    """Round pixels to values that an 8-bit file can store."""
    return np.rint(pixels * 255).astype(np.float32) / np.float32(255)
