"""Methods that change the image, or a layer's activations, and see what becomes of the score.

Those that change the activations rerun the layer's head only, the model from there to the score
(``export --extra head``). Each image's classes are settled once, on the image as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .masks import GridMasks, as_masks, masked, one_place, size_of
from .method_io import MethodInput, MethodOutput
from .rerun import Floats, of_head, of_images

# Relative to the scores: differences below are float32's rounding, not the model's answer.
_ROUNDING = 1e-6


def scorecam(batch: MethodInput, *, channels: int | None = None) -> MethodOutput:
    """Score-CAM (Wang et al. 2020): a channel weighs as much as the image it lets through scores.

    Each channel, resized to the model's input and scaled to 0 to 1, masks the images; the softmax
    over channels of the masked images' scores (the paper's Algorithm 1) are the weights, and the
    map is the ReLU of the weighted sum. Masked pixels become the input's 0: the mean colour of
    normalised images. As many runs of the model as there are channels.

    Args:
        batch: The images.
        channels: How many channels to try, those of largest variance over space; None: all. What
            is not tried weighs nothing.

    Raises:
        InputError: ``channels`` is less than 1, or the model takes no images.
    """
    layer = batch.layer.activations
    got, rerun = of_images(batch, layer)
    activations = got[layer]
    if channels is not None:
        activations = _most_varied(activations, _at_least(1, channels, "channels"))
    planes = np.moveaxis(activations, 1, 0)

    def seen(part: slice) -> NDArray[Any]:
        return masked(batch, rerun.original, as_masks(planes[part], batch))

    scores = rerun.scores(len(planes), seen)
    powers = np.exp(scores - scores.max(axis=0))
    return batch.output(got, _weighted(powers / powers.sum(axis=0), activations))


def rise(
    batch: MethodInput, *, masks: int = 1000, grid: int = 7, p: float = 0.5, seed: int = 0
) -> MethodOutput:
    """RISE (Petsiuk et al. 2018): the mean of random masks, weighted by the model's confidence.

    A mask is a grid of ones (with probability ``p``) and zeros, resized bilinearly to a little
    more than the model's input and shifted at random. The confidence is the class's probability
    (its score where scores are no classification), less its mean over the masks: the paper's map
    without its constant part, so that what makes no difference is 0, and with less noise.

    Args:
        batch: The images. All of them get the same masks.
        masks: How many; as many runs of the model.
        grid: Cells along each side.
        p: Share of cells that stay visible.
        seed: Of the masks.

    Raises:
        InputError: An option is out of range, or the model takes no images.
    """
    if not 0 < p < 1:
        raise InputError(f"p={p} is out of range; give a share between 0 and 1")
    count, cells = _at_least(2, masks, "masks"), _at_least(1, grid, "grid")
    drawn = GridMasks(size_of(batch), count, cells, p, seed)
    got, rerun = of_images(batch)

    def seen(part: slice) -> NDArray[Any]:
        return masked(batch, rerun.original, drawn.of(part)[:, None])

    confidences = rerun.confidences(count, seen)
    above = _beyond_rounding(confidences - confidences.mean(axis=0), confidences)
    return batch.output(got, drawn.summed(above) / (count * p))


def ablationcam(batch: MethodInput) -> MethodOutput:
    """Ablation-CAM (Desai and Ramaswamy 2020): a channel weighs what the score loses without it.

    The weight is the drop of the score where the channel is zero, relative to the score's size
    (the paper divides by the score itself, which turns the map of a negative score around); the map
    is the ReLU of the weighted sum. As many passes through the head as there are channels.
    """
    got, rerun = of_head(batch)

    activations, count = rerun.original, rerun.original.shape[1]

    def without(part: slice) -> NDArray[Any]:
        channels = range(*part.indices(count))
        left = np.repeat(activations[None], len(channels), axis=0)
        for variant, channel in zip(left, channels, strict=True):
            variant[:, channel] = 0
        return left

    whole = got[batch.session.spec.scores]
    left = rerun.scores(count, without)
    drops = _beyond_rounding(whole - left, left) / np.where(whole == 0, 1, np.abs(whole))
    return batch.output(got, _weighted(drops, activations))


def reciprocam(batch: MethodInput, *, gaussian: bool = False) -> MethodOutput:
    """Recipro-CAM (Byun and Lee 2022): the score where the layer is zero but for one place.

    Each place keeps its activations, all others become zero, and the head gives the place's score;
    the map is these scores, less the smallest. Tokens before a grid stay as they are, as in
    ViT-ReciproCAM (2023). As many passes through the head as the layer has places.

    Args:
        batch: The images.
        gaussian: Keep the neighbours too, by the window (1/4, 1/2, 1/4) along each axis.
    """
    got, rerun = of_head(batch)
    space = rerun.original.shape[2:]

    def alone(part: slice) -> NDArray[Any]:
        masks = one_place(space, part, neighbours=gaussian)
        return masks[:, None, None] * rerun.original

    scores = rerun.scores(int(np.prod(space)), alone)
    above = _beyond_rounding(scores - scores.min(axis=0), scores)
    return batch.output(got, np.moveaxis(above, 0, -1).reshape(*above.shape[1:], *space))


def shapleycam(batch: MethodInput, *, step: float = 2.0**-10) -> MethodOutput:
    """Shapley-CAM (Cai 2025): Grad-CAM with weights from a second-order expansion.

    The weight of a channel is the spatial mean of g - H a / 2, with the activations a, their
    gradient g and Hessian H. H a is the difference of the head's gradients at a (1 + step), a and
    a (1 - step). A piecewise linear head (pool and linear layer, ReLUs) has H = 0: there this is
    Grad-CAM, but for the kinks that are crossed on both sides. Three passes through the head.

    Args:
        batch: The images.
        step: Relative length of the step. The default leaves H a some 1e-4 of g as rounding in
            float32, and crosses few kinks; float16 models want a larger one, as 0.1.

    Raises:
        InputError: ``step`` is not positive.
    """
    if not step > 0:
        raise InputError(f"step={step} is out of range; give a small positive number")
    got, rerun = of_head(batch)
    factors, name = (1 - step, 1, 1 + step), rerun.session.spec.layers[0].gradients

    def scaled(part: slice) -> NDArray[Any]:
        return np.stack([rerun.original * np.float32(factor) for factor in factors[part]])

    behind, here, ahead = (gradients for gradients, _ in rerun.gradients(3, scaled, name))
    product = _smooth_part(here - behind, ahead - here) / step
    weights = (here - product / 2).mean(axis=tuple(range(3, here.ndim)))
    return batch.output(got, _weighted(np.moveaxis(weights, 2, 0), rerun.original))


def _weighted(weights: NDArray[Any], activations: NDArray[Any]) -> Floats:
    """ReLU of the activations [N, C, *space], summed with weights [C, N, K] over the channels."""
    maps = np.einsum("cnk,nc...->nk...", weights, activations)
    return np.maximum(maps, 0).astype(np.float32)


def _beyond_rounding(differences: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """Differences of scores [count, N, K]; zeros where all of them are no more than rounding.

    Else an image that the model does not look at would get a map of noise, stretched.
    """
    noise = _ROUNDING * np.abs(scores).max(axis=0, initial=0)
    return np.where(np.abs(differences).max(axis=0, initial=0) > noise, differences, 0)


def _smooth_part(behind: Floats, ahead: Floats) -> Floats:
    """The mean of differences to either side; the smaller one where they disagree.

    Where a kink lies on one side, that difference holds its jump. The Hessian does not.
    """
    smaller = np.where(np.abs(ahead) < np.abs(behind), ahead, behind)
    agree = np.abs(ahead - behind) < (np.abs(ahead) + np.abs(behind)) / 4
    return np.where(agree, (ahead + behind) / 2, smaller)


def _most_varied(activations: NDArray[Any], count: int) -> NDArray[Any]:
    """The ``count`` channels of each image with the largest variance over space."""
    spread = activations.reshape(*activations.shape[:2], -1).var(axis=2)
    order = np.argsort(-spread, axis=1, kind="stable")[:, :count]
    places = order.reshape(*order.shape, *[1] * (activations.ndim - 2))
    return np.take_along_axis(activations, places, axis=1)


def _at_least(least: int, number: int, name: str) -> int:
    if number < least:
        raise InputError(f"{name}={number} is out of range; give at least {least}")
    return number
