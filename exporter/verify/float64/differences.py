"""This module compares gradients with directional finite differences of the score, in float64.

Along a direction the score must change by the direction's inner product with the gradient. The
directions are the gradient itself, along which the score changes by its length, and the gradient
with random signs and random magnitudes, which show a wrong component.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from ....runtime.spec import Layer
from ..runs.running import Array
from ..verdict.compare import UNFELT
from ..verdict.deadline import Deadline, OutOfTime, over
from .float32_slopes import STEP, is_hidden, rounding_of, slope_at

_STEP = 1e-6  # of the size of the layer's value
_LONGEST = 1e-3  # of that size; needed where the gradient is small beside the score
_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of the score, in a difference
_RESOLVED = 1e-5  # of the gradient's length: what rounding may contribute to a slope
_LEAST = 1e-6  # a gradient that is shorter counts as this long
# Of the score over the layer's size: what terms that cancel leave of a gradient in float32. Such a
# change moves the score by no more than its own rounding.
_SMALL = 1e-4  # below every bound: what such a change counts as at most
_CLOSER = 1e-2  # of the step, for a second try
# Of the gradient's length. Slopes to the right and to the left that differ by less meet no kink;
# much smaller than the bound, since the jumps of several kinks may cancel in this difference.
_KINK = 1e-5
# A bend shrinks with the step, a kink stays. What is left of it, and how much that may be, of the
# gradient's length: half of it is the most that a small kink beside it adds to an error.
_SHRUNK, _BENT = 2 * _CLOSER, 1e-3
CALLS = 6  # evaluations of the score for one gradient, beside that at the point itself


@dataclass(frozen=True)
class Differences:
    """How gradients compare with finite differences.

    Attributes:
        error: The largest disagreement, relative to the gradient's length.
        done: Number of gradients, each of one class of one image, that were compared.
        planned: Number of gradients that should have been.
        reason: Why fewer were.
        flips: Number of directions that were left out, see `SelectionFlippedError`.
        remark: How they were compared, where that is not in float64.
    """

    error: float = 0.0
    done: int = 0
    planned: int = 0
    reason: str = ""
    flips: int = 0
    remark: str = ""

    def __or__(self, other: Differences) -> Differences:
        """Both together."""
        return Differences(
            max(self.error, other.error), self.done + other.done, self.planned + other.planned,
            self.reason or other.reason, self.flips + other.flips, self.remark or other.remark,
        )  # fmt: skip

    @property
    def left_out(self) -> str:
        """What was left out, in words; empty for nothing."""
        if not self.flips:
            return ""
        directions = "1 direction" if self.flips == 1 else f"{self.flips} directions"
        return f"{directions} left out, where the model selects other parts"


@dataclass(frozen=True)
class Gradient:
    """A gradient, and what is needed to check it.

    Attributes:
        score: The score as a function of the layer's value for the image.
        start: That value.
        values: The gradient, channel-first.
        layer: The layer.
        others: Directions to try beside the usual ones.
        usual: Whether these are tried.
        in_float32: Whether the score is computed in float32.
    """

    score: Callable[[Array], float]
    start: Array
    values: Array
    layer: Layer
    others: Sequence[Array] = ()
    usual: bool = True
    in_float32: bool = False


def compare_all(
    gradients: Iterator[Gradient], planned: int, draw: Generator, deadline: Deadline
) -> Differences:
    """Compare gradients one after the other, as long as there is time."""
    found = Differences(planned=planned)
    for gradient in gradients:
        try:
            error, flips = _error(gradient, draw, deadline)
        except OutOfTime:
            return replace(found, reason=over(deadline))
        except _UndecidedError as undecided:
            flips = found.flips + undecided.flips
            found = replace(found, reason=str(undecided), flips=flips)
            continue
        error = error if np.isfinite(error) else np.inf
        found = replace(
            found, error=max(found.error, error), done=found.done + 1, flips=found.flips + flips
        )
    return found


class SelectionFlippedError(Exception):
    """A score's function raises it where the model selects other parts than at the point itself.

    A detector with queries takes those with the best scores. Where a step exchanges one for
    another the score jumps, and its difference is no slope.
    """


class _UndecidedError(Exception):
    """Why no difference tells anything.

    Args:
        reason: In words.
        flips: Directions that were left out.
    """

    def __init__(self, reason: str, flips: int = 0) -> None:
        super().__init__(reason)
        self.flips = flips


def _error(gradient: Gradient, draw: Generator, deadline: Deadline) -> tuple[float, int]:
    """Largest disagreement over the directions, relative to the gradient's length.

    The zeros that a ReLU leaves tie in a max pool, where the score has a slope to either side but
    no derivative. A direction that meets such a kink is tried again closer to the point, where a
    steep model's bend is small, and then without moving the zeros. If it still meets one, any slope
    between the two is right. If the model's selection flips in all of these, the direction is left
    out.

    Returns:
        The disagreement, and the number of directions that were left out.

    Raises:
        _UndecidedError: That happens in all directions, or rounding hides the slope.
    """
    values, start = gradient.values, gradient.start
    length = float(np.linalg.norm(values))
    signs = draw.choice([-1.0, 1.0], values.shape)
    noise = draw.standard_normal(values.shape)
    moving = channel_first(start, gradient.layer) != 0
    here, worst, decided, flips = gradient.score(start), 0.0, 0, 0
    size, rounding = max(1.0, float(np.linalg.norm(start))), _ROUNDING * abs(here)
    scale = max(length, _LEAST)
    if gradient.in_float32:
        return _error_in_float32(gradient, [values, values * signs, noise], scale, draw, deadline)
    step = min(max(_STEP * size, rounding / (_RESOLVED * scale)), _LONGEST * size)
    if rounding / step > 10 * _RESOLVED * scale:
        raise _UndecidedError(f"the gradient is too small ({length:.0e}) beside the score")

    def slopes(direction: Array, step: float) -> tuple[float, float]:
        deadline.check()
        move = step * as_laid_out(direction, gradient.layer)
        right, left = gradient.score(start + move), gradient.score(start - move)
        return (right - here) / step, (here - left) / step

    usual = [values, values * signs, noise] if length else [noise]
    usual = usual if gradient.usual else []
    for direction in [*usual, *gradient.others]:
        found, smooth, before = list[tuple[float, float, float]](), False, 0.0
        for near, among in ((step, 1.0), (step * _CLOSER, 1.0), (step, moving)):
            unit = _unit(direction * among)
            if not unit.any():  # nothing moves, which tells nothing
                continue
            try:
                right, left = slopes(unit, near)
            except SelectionFlippedError:
                continue
            found = [(right, left, float((values * unit).sum()))]
            apart = abs(right - left)
            smooth = not apart > _KINK * length + 2 * rounding / near
            bends = near < step and apart <= min(_SHRUNK * before, _BENT * length)
            smooth, before = smooth or bends, apart
            if smooth:
                break
        if not found:
            flips += 1
            continue
        ((right, left, expected),) = found
        if smooth:
            decided += 1
            error = abs((right + left) / 2 - expected)
        else:
            error = max(min(right, left) - expected, expected - max(right, left), 0.0)
        worst = np.fmax(worst, error) if np.isfinite(error) else np.inf
    if not decided and worst <= _KINK * scale:
        what = "the model selects other parts" if flips else "the score has a kink"
        raise _UndecidedError(f"{what} in every direction", flips)
    error = worst / scale
    return (min(error, _SMALL) if worst <= UNFELT * abs(here) / size else error), flips


def _error_in_float32(
    gradient: Gradient, directions: Sequence[Array], scale: float, draw: Generator,
    deadline: Deadline,
) -> tuple[float, int]:  # fmt: skip
    """The same for a score in float32; where its slope jumps, any between the two is right."""
    start, here = gradient.start, gradient.score(gradient.start)
    rounding = rounding_of(gradient.score, start, draw)
    step = STEP * max(1.0, float(np.linalg.norm(start)))
    if is_hidden(rounding, step, scale):
        raise _UndecidedError("float32 hides so small a gradient beside the score")
    worst, decided, flips = 0.0, 0, 0
    for unit in map(_unit, [*directions, *gradient.others]):
        deadline.check()
        move = as_laid_out(unit, gradient.layer)
        try:
            found = slope_at(
                lambda way, move=move: gradient.score(start + way * move), here, step, rounding,
                scale,
            )  # fmt: skip
        except SelectionFlippedError:
            flips += 1
            continue
        if found is not None:
            slope, jump = found
            error = abs(slope - float((gradient.values * unit).sum())) - jump / 2
            worst = max(worst, error) if np.isfinite(error) else np.inf
            decided += 1
    if not decided:
        what = "the model selects other parts" if flips else "the score has kinks"
        raise _UndecidedError(f"{what} in every direction", flips)
    return worst / scale, flips


def channel_first(value: Array, layer: Layer) -> Array:
    """One image's part of a layer's value, as [C, *space]."""
    if layer.layout == "channels_last":
        return np.moveaxis(value, -1, 0)
    if layer.layout == "tokens":
        grid = [-1 if side is None else side for side in layer.grid]
        end = len(value) - (layer.suffix_tokens or 0)
        return value[layer.prefix_tokens : end].T.reshape(-1, *grid)
    return value


def as_laid_out(tensor: Array, layer: Layer) -> Array:
    """The opposite of `channel_first`, with zeros for the tokens around the grid."""
    if layer.layout == "channels_last":
        return np.moveaxis(tensor, 0, -1)
    if layer.layout == "tokens":
        around = layer.prefix_tokens, layer.suffix_tokens or 0
        return np.pad(tensor.reshape(len(tensor), -1).T, (around, (0, 0)))
    return tensor


def with_maps(value: Array, maps: Array, layer: Layer) -> Array:
    """A layer's value with other maps, [N, C, *space]; what has no place stays as it is."""
    if layer.layout == "instances":
        return value
    laid = np.stack([as_laid_out(one.astype(np.float64), layer) for one in maps])
    placed = np.stack([as_laid_out(np.ones(one.shape), layer) for one in maps])
    return np.where(placed, laid, value)


def _unit(direction: Array) -> Array:
    return direction / max(float(np.linalg.norm(direction)), 1e-300)
