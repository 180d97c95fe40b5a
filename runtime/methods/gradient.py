"""These methods need the gradient of the scores with respect to the input image.

Their maps have the resolution of the model's input: [N, K, H, W].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..checks import check_value
from ..errors import InputError
from ..inputs.form import form_of
from ..session.session import Tensors
from .baselines import Baseline, baseline_of, channel_axis
from .method_io import MethodInput, MethodOutput
from .rerun import of_images

_OPTIONS = {
    "input_gradients": "--extra input_gradients",
    "guided_gradients": "--extra guided",
    "deconvnet_gradients": "--extra guided",
}


def saliency(batch: MethodInput) -> MethodOutput:
    """The largest magnitude of the gradient over the channels (Simonyan et al. 2014)."""
    return _strongest_of(batch, "input_gradients")


def input_x_gradient(batch: MethodInput) -> MethodOutput:
    """The sum over the channels of input times gradient (Shrikumar et al. 2016); signed."""
    got, gradients = _fetch(batch, "input_gradients")
    images = batch.feeds[batch.input].astype(np.float32)
    return batch.output(got, (gradients * images[:, None]).sum(axis=_channels(batch)))


def guided_backprop(batch: MethodInput) -> MethodOutput:
    """The largest magnitude over the channels of the gradient by guided backpropagation.

    A ReLU passes a gradient back where both the gradient and its input are positive (Springenberg
    et al. 2015).
    """
    return _strongest_of(batch, "guided_gradients")


def deconvnet(batch: MethodInput) -> MethodOutput:
    """The same by the deconvnet's rule: a ReLU passes every positive gradient back.

    Zeiler and Fergus 2014.
    """
    return _strongest_of(batch, "deconvnet_gradients")


def guided_gradcam(batch: MethodInput) -> MethodOutput:
    """Guided backpropagation times the layer's heatmap, resized bilinearly (Selvaraju et al. 2017).

    The map is the largest magnitude of the product over the channels.
    """
    got, gradients = _fetch(batch, "guided_gradients", batch.layer.heatmap)
    heatmaps = got[batch.layer.heatmap]
    if heatmaps.ndim != 4:
        raise InputError(
            f"layer '{batch.layer.name}' has no two-dimensional maps, which guided Grad-CAM "
            "multiplies with an image's gradients; use guided-backprop or a method of activations "
            "and gradients"
        )
    fine = _strongest(batch, gradients)
    coarse = np.empty_like(fine)
    height, width = fine.shape[2:]
    for place in np.ndindex(fine.shape[:2]):
        coarse[place] = cv2.resize(heatmaps[place], (width, height))
    return batch.output(got, fine * coarse)


def fullgrad(batch: MethodInput) -> MethodOutput:
    """What the input and each bias contribute, as the artifact computes it.

    Srinivas and Fleuret 2019: the magnitudes of input times gradient, and of each layer's biases
    times their gradients, scaled to [0, 1] by layer, summed over channels and layers. The measure
    ``completeness_error`` is the distance of all contributions' sum, as they are, to the score.

    Raises:
        InputError: The artifact has no such map.
    """
    spec = batch.session.spec
    if spec.fullgrad is None or spec.fullgrad_sum is None:
        raise InputError(
            f"{batch.session.path.name} has no fullgrad, which this method needs; export it with "
            "--extra fullgrad"
        )
    got = batch.session.run(batch.feeds, [*batch.common_outputs, *spec.of_fullgrad])
    error = np.abs(got[spec.fullgrad_sum] - got[spec.scores])
    return batch.output(got, got[spec.fullgrad], {"completeness_error": error})


def smoothgrad(
    batch: MethodInput, *, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> MethodOutput:
    """The mean gradient over copies of the image with noise (Smilkov et al. 2017).

    The map is the largest magnitude of the mean over the channels, as for saliency.

    Args:
        batch: The images.
        samples: Number of copies.
        noise: Standard deviation of the Gaussian noise, as a share of the image's range.
        seed: Seed of the noise, which is the same for all images.
    """
    return _noisy(batch, samples, noise, seed, lambda mean, _: mean)


def smoothgrad_squared(
    batch: MethodInput, *, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> MethodOutput:
    """The mean of the squared gradients instead (Hooker et al. 2019); see `smoothgrad`."""
    return _noisy(batch, samples, noise, seed, lambda _, square: square)


def vargrad(
    batch: MethodInput, *, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> MethodOutput:
    """The gradients' variance instead (Adebayo et al. 2018); see `smoothgrad`."""
    return _noisy(batch, samples, noise, seed, lambda mean, square: square - mean**2)


def integrated_gradients(
    batch: MethodInput, *, steps: int = 32, baseline: Baseline = "black"
) -> MethodOutput:
    """The gradient integrated along the line from a baseline to the image.

    Sundararajan et al. 2017: the mean gradient on the line, by Gauss-Legendre quadrature, times the
    difference between image and baseline, summed over the channels; signed. With enough ``steps``
    the sum of a map is the change of the score between baseline and image ("completeness"). The
    measures are this ``score_change``, and the ``completeness_error``: its distance to the sum.

    Args:
        batch: The images.
        steps: Number of gradients along the line.
        baseline: The start of the line; see `baselines.baseline_of`.
    """
    check_value("steps", steps, int, least=1)
    name, transform = _output_name(batch, "input_gradients"), batch.session.spec.preprocess
    points, weights = np.polynomial.legendre.leggauss(steps)
    # The baseline itself comes first, with weight 0: only its score is used.
    places, weights = [0.0, *((points + 1) / 2)], [0.0, *(weights / 2)]
    got, rerun = of_images(batch)
    images = rerun.original
    start = np.stack([baseline_of(baseline, image, transform) for image in images])
    difference = images - start
    scores = got[batch.session.spec.scores].astype(np.float64)
    mean, changes = np.zeros((*scores.shape, *images.shape[1:])), scores

    def path(part: slice) -> NDArray[Any]:
        found = np.empty((part.stop - part.start, *images.shape), images.dtype)
        for at, row in np.ndindex(found.shape[:2]):
            found[at, row] = start[row] + places[part.start + at] * difference[row]
        return found

    for number, (gradients, ahead) in enumerate(rerun.gradients(len(places), path, name)):
        for total, one in zip(mean, gradients, strict=True):
            total += weights[number] * one
        changes = changes if number else scores - ahead
    mean *= difference[:, None]
    maps = mean.sum(axis=_channels(batch))
    errors = np.abs(maps.sum(axis=tuple(range(2, maps.ndim))) - changes)
    return batch.output(got, maps, {"score_change": changes, "completeness_error": errors})


def _fetch(batch: MethodInput, field: str, *more: str) -> tuple[Tensors, NDArray[Any]]:
    """Run the images; return the outputs, and the gradients that ``field`` names."""
    name = _output_name(batch, field)
    got = batch.session.run(batch.feeds, [*batch.common_outputs, name, *more])
    return got, got[name]


def _strongest_of(batch: MethodInput, field: str) -> MethodOutput:
    got, gradients = _fetch(batch, field)
    return batch.output(got, _strongest(batch, gradients))


def _strongest(batch: MethodInput, gradients: NDArray[Any]) -> NDArray[Any]:
    """Return the largest magnitude over the channels."""
    return np.abs(gradients).max(axis=_channels(batch))


def _noisy(
    batch: MethodInput,
    samples: int,
    noise: float,
    seed: int,
    combine: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
) -> MethodOutput:
    """Combine the mean gradient over noisy copies, and its mean square, and reduce the channels."""
    check_value("samples", samples, int, least=1)
    check_value("seed", seed, int, least=0)
    check_value("noise", noise, float, least=0)
    name = _output_name(batch, "input_gradients")
    got, rerun = of_images(batch)
    images = rerun.original.astype(np.float32)
    deviation = np.ptp(images, axis=tuple(range(1, images.ndim)), keepdims=True)
    deviation *= np.float32(noise)
    generator = np.random.default_rng(seed)

    def copies(part: slice) -> NDArray[Any]:
        found = np.empty((part.stop - part.start, *images.shape), np.float32)
        for at in range(len(found)):
            drawn = generator.standard_normal(images.shape[1:], np.float32)
            found[at] = images + deviation * drawn
        return found

    totals = np.zeros((*got[batch.session.spec.scores].shape, *images.shape[1:]))
    squares = np.zeros_like(totals)
    for gradients, _ in rerun.gradients(samples, copies, name):
        for total, square, one in zip(totals, squares, gradients, strict=True):
            total += one
            square += np.square(one, dtype=np.float64)
    maps = [
        _strongest(batch, combine(total / samples, square / samples))
        for total, square in zip(totals, squares, strict=True)
    ]
    return batch.output(got, np.stack(maps))


def _output_name(batch: MethodInput, field: str) -> str:
    """Return the name of the output that a field of the metadata names, such as input_gradients.

    Raises:
        InputError: The artifact has no such output.
    """
    session = batch.session
    if field not in session.spec.of_input:
        raise InputError(
            f"{session.path.name} has no {field}, which this method needs; export it with "
            f"{_OPTIONS[field]}"
        )
    return session.spec.of_input[field]


def _channels(batch: MethodInput) -> tuple[int, ...]:
    """Return the axis of the channels in the input, counted from the end; none if it has none."""
    transform = batch.session.spec.preprocess
    if transform is not None:
        return (channel_axis(transform),)
    shape, layer = batch.feeds[batch.input].shape[1:], batch.layer
    form = form_of(shape, batch.session.inputs[batch.input].dtype, layer.grid, layer.layout)
    if form is None:
        raise InputError(
            f"input '{batch.input}' has shape {list(shape)} and layer '{layer.name}' maps of "
            f"{len(layer.grid)} axes: it is not known which axis has the channels; choose a method "
            "of activations and gradients"
        )
    return () if form.channel is None else (form.channel - len(shape),)
