"""These methods change the image, or a layer's activations, and measure the change of the score.

Methods that change activations rerun only the layer's head, the model from the layer to the score
(``export --extra head``). The classes are those of the unchanged image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_value
from ..errors import InputError
from .masks import GridMasks, as_masks, masked, one_place, size_of
from .method_io import MethodInput, MethodOutput
from .rerun import Floats, of_head, of_images

# Differences below this, relative to the scores, are float32's rounding.
_ROUNDING = 1e-6


def scorecam(batch: MethodInput, *, channels: int | None = None) -> MethodOutput:
    """Score-CAM (Wang et al. 2020): a channel's weight is the score of the image under its mask.

    Each channel, resized to the model's input and scaled to [0, 1], masks the images. The weights
    are the softmax over the channels of the masked images' scores (the paper's Algorithm 1), and
    the map is the ReLU of the weighted sum. Masked pixels become 0, the mean colour of normalised
    images. The model runs once for each channel.

    Args:
        batch: The images.
        channels: Number of channels to try, those with the largest variance over space; the others
            have weight 0. None: all.

    Raises:
        InputError: ``channels`` is less than 1, or the model takes no images.
    """
    layer = batch.layer.activations
    got, rerun = of_images(batch, layer)
    activations = got[layer]
    check_value("channels", channels, int | None, least=1)
    if channels is not None:
        activations = _most_varied(activations, channels)
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
    more than the model's input and shifted at random. The confidence is the class's probability,
    or its score if scores are not those of a classification, minus its mean over the masks. This
    is the paper's map without its constant part: pixels without influence are 0, and there is less
    noise.

    Args:
        batch: The images; all have the same masks.
        masks: Number of masks, and of runs of the model.
        grid: Cells along each side.
        p: Share of cells that stay visible.
        seed: Seed of the masks.

    Raises:
        InputError: An option is out of range, or the model takes no images.
    """
    if not 0 < p < 1:
        raise InputError(f"p={p} is out of range; give a share between 0 and 1")
    for name, number, least in (("masks", masks, 2), ("grid", grid, 1), ("seed", seed, 0)):
        check_value(name, number, int, least=least)
    drawn = GridMasks(size_of(batch), masks, grid, p, seed)
    got, rerun = of_images(batch)

    def seen(part: slice) -> NDArray[Any]:
        return masked(batch, rerun.original, drawn.of(part)[:, None])

    confidences = rerun.confidences(masks, seen)
    above = _beyond_rounding(confidences - confidences.mean(axis=0), confidences)
    return batch.output(got, drawn.summed(above) / (masks * p))


def ablationcam(batch: MethodInput) -> MethodOutput:
    """Ablation-CAM (Desai and Ramaswamy 2020): a channel's weight is the drop of the score.

    The weight is the drop of the score if the channel is set to zero, relative to the magnitude of
    the score (the paper divides by the score itself, which inverts the map of a negative score).
    The map is the ReLU of the weighted sum. The head runs once for each channel.
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
    """Recipro-CAM (Byun and Lee 2022): the score of each place of the layer alone.

    The value of a place is the score if all other places are set to zero, minus the smallest of
    these scores. Tokens before a grid do not change, as in ViT-ReciproCAM (2023). The head runs
    once for each place.

    Args:
        batch: The images.
        gaussian: Include the neighbours, with the window (1/4, 1/2, 1/4) along each axis.
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
    gradient g and Hessian H. H a comes from the head's gradients at a (1 + step), a and
    a (1 - step). A piecewise linear head (pool and linear layer, ReLUs) has H = 0; there the map is
    Grad-CAM's, except where kinks are crossed on both sides. The head runs three times.

    Args:
        batch: The images.
        step: Relative length of the step. With the default, float32 rounding changes H a by about
            1e-4 of g, and few kinks are crossed; float16 models need a larger step, such as 0.1.

    Raises:
        InputError: ``step`` is not positive.
    """
    if not 0 < step < float("inf"):
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
    """Sum activations [N, C, *space] over the channels with weights [C, N, K], then ReLU."""
    maps = np.einsum("cnk,nc...->nk...", weights, activations)
    return np.maximum(maps, 0).astype(np.float32)


def _beyond_rounding(differences: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """Set differences of scores [count, N, K] to zero if all of them are rounding.

    Otherwise an image without influence on the score would get a map of amplified noise.
    """
    noise = _ROUNDING * np.abs(scores).max(axis=0, initial=0)
    return np.where(np.abs(differences).max(axis=0, initial=0) > noise, differences, 0)


def _smooth_part(behind: Floats, ahead: Floats) -> Floats:
    """Return the mean of the differences on both sides, or the smaller one if they disagree.

    If a kink lies on one side, its jump is in that difference; the Hessian does not contain it.
    """
    smaller = np.where(np.abs(ahead) < np.abs(behind), ahead, behind)
    agree = np.abs(ahead - behind) < (np.abs(ahead) + np.abs(behind)) / 4
    return np.where(agree, (ahead + behind) / 2, smaller)


def _most_varied(activations: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the ``count`` channels of each image with the largest variance over space."""
    spread = activations.reshape(*activations.shape[:2], -1).var(axis=2)
    order = np.argsort(-spread, axis=1, kind="stable")[:, :count]
    places = order.reshape(*order.shape, *[1] * (activations.ndim - 2))
    return np.take_along_axis(activations, places, axis=1)
