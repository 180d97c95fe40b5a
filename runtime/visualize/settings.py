"""`Ascent` holds the settings of an ascent, and `PRESETS` good ones for each parametrisation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from ..errors import InputError

Parametrisation = Literal["fourier", "phase", "pixels"]
PARAMETRISATIONS: tuple[Parametrisation, ...] = get_args(Parametrisation)

_LEAST = {"steps": 1, "batch": 1, "blur_every": 1, "shrink": 1, "enlarge": 1}
_MOST = {"decay": 1, "rotation": 180, "cooling": 1}


@dataclass(frozen=True)
class Ascent:
    """Settings of the ascent; lengths are in pixels, values of pixels go from 0 to 1.

    The defaults are for `fourier`. For another parametrisation begin with its preset:
    ``dataclasses.replace(PRESETS["pixels"], steps=512)``.

    Attributes:
        parametrisation: The numbers that change: `fourier`, the coefficients of a spectrum of
            decorrelated colours; `phase`, their phases alone; `pixels`.
        steps: Number of steps.
        rate: About how far a number moves in a step: a coefficient, whose size at full contrast is
            about 1; a phase, in radians; a pixel.
        batch: How many randomly moved copies of the image give the gradient of a step.
        jitter: Largest shift of a copy; the image repeats beyond its borders.
        shrink: Largest factor by which a copy shows everything smaller.
        enlarge: Largest factor by which a copy shows everything larger.
        rotation: Largest angle by which a copy is turned, in degrees.
        noise: Standard deviation of the normal noise that is added to a copy, as a share of the
            image's own.
        cooling: The share of the steps, the last ones, in which the rate falls to 0.
        decay: L2 decay: the share of its distance to grey that a number loses in a step.
        blur: Standard deviation of the Gaussian blur; 0: none.
        blur_every: Steps from one blur to the next.
        variation: Weight of the total variation, the sum of the differences between neighbours.
        seed: Seed of the initial noise and of the copies.

    Raises:
        InputError: A number is out of range.
    """

    parametrisation: Parametrisation = "fourier"
    steps: int = 160
    rate: float = 0.1
    batch: int = 4
    jitter: int = 40
    shrink: float = 1.5
    enlarge: float = 1.5
    rotation: float = 15.0
    noise: float = 0.7
    cooling: float = 0.6
    decay: float = 0.0
    blur: float = 0.0
    blur_every: int = 4
    variation: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError if a setting is out of range."""
        numbers = asdict(self)
        chosen = numbers.pop("parametrisation")
        if chosen not in PARAMETRISATIONS:
            raise InputError(
                f"parametrisation={chosen!r}; give one of {', '.join(PARAMETRISATIONS)}"
            )
        for name, value in numbers.items():
            least, most = _LEAST.get(name, 0), _MOST.get(name, math.inf)
            if not (math.isfinite(value) and least <= value <= most):
                upper = f"to {most}" if name in _MOST else "on"
                raise InputError(f"{name}={value}; give a number from {least} {upper}")
        if self.rate <= 0:
            raise InputError(f"rate={self.rate}; give a number larger than 0")


PRESETS: dict[Parametrisation, Ascent] = {
    "fourier": Ascent(),
    "phase": Ascent("phase", rate=0.2),
    "pixels": Ascent(
        "pixels", steps=256, rate=0.02, batch=1, jitter=4, shrink=1.0, enlarge=1.0, rotation=0.0,
        noise=0.0, cooling=0.0, decay=0.01, blur=0.8, variation=0.2,
    ),
}  # fmt: skip
