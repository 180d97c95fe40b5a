"""A baseline is an input that shows nothing; integrated gradients compare an image with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.selection import check_name
from ..spec import Preprocess

Baseline: TypeAlias = str | float | Sequence[Any] | NDArray[Any]
_BLUR = 12  # a Gaussian whose sigma is this part of the shorter side: shapes go, colours stay


def baseline_of(
    baseline: Baseline, image: NDArray[Any], transform: Preprocess | None
) -> NDArray[np.float64]:
    """Return the baseline of an image, in the model's units: float64 [*input].

    Args:
        baseline: ``black``: a black image; ``blur``: the image itself, blurred beyond
            recognition; ``mean``: the image's mean colour everywhere; or numbers that broadcast to
            the model's input, such as 0.
        image: The image as the model takes it, [*input].
        transform: The stored preprocessing.

    Raises:
        InputError: The baseline is unknown, or the numbers do not broadcast.
    """
    if isinstance(baseline, str):
        make = BASELINES[check_name("baseline", baseline, BASELINES)]
        if image.ndim != 3 and baseline != "black":
            raise InputError(
                f"baseline '{baseline}' is made of an image, and the model's input has shape "
                f"{list(image.shape)}; pass numbers that broadcast to it, such as 0"
            )
        return make(image, transform)
    values = np.asarray(baseline)
    fits = values.ndim <= image.ndim and all(
        extent in (1, whole)
        for extent, whole in zip(values.shape[::-1], image.shape[::-1], strict=False)
    )
    if values.dtype.kind not in "fiu" or not fits:
        raise InputError(
            f"baseline is {values.dtype} {list(values.shape)}; pass numbers that broadcast to the "
            f"model's input {list(image.shape)}, or one of {', '.join(BASELINES)}"
        )
    return np.broadcast_to(values.astype(np.float64), image.shape)


def channel_axis(transform: Preprocess | None) -> int:
    """Return the axis of the channels in the model's input, counted from the end."""
    return -1 if transform is not None and transform.layout == "nhwc" else -3


def _black(image: NDArray[Any], transform: Preprocess | None) -> NDArray[np.float64]:
    if transform is None:
        raise InputError(
            "baseline 'black' needs the stored preprocessing, which maps black to the model's "
            "units; pass numbers"
        )
    value = -np.asarray(transform.mean, np.float64) / np.asarray(transform.std, np.float64)
    colours = np.moveaxis(value[None, None], -1, channel_axis(transform))
    return np.broadcast_to(colours, image.shape)


def _blur(image: NDArray[Any], transform: Preprocess | None) -> NDArray[np.float64]:
    axis = channel_axis(transform)
    last = np.ascontiguousarray(np.moveaxis(image.astype(np.float64), axis, -1))
    sigma = min(last.shape[:2]) / _BLUR
    blurred = cv2.GaussianBlur(last, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    # OpenCV drops the axis of a single channel.
    return np.moveaxis(np.asarray(blurred, np.float64).reshape(last.shape), -1, axis)


def _mean(image: NDArray[Any], transform: Preprocess | None) -> NDArray[np.float64]:
    space = tuple({-3, -2, -1} - {channel_axis(transform)})
    means = image.astype(np.float64).mean(axis=space, keepdims=True)
    return np.broadcast_to(means, image.shape)


BASELINES: dict[str, Callable[[NDArray[Any], Preprocess | None], NDArray[np.float64]]] = {
    "black": _black, "blur": _blur, "mean": _mean,
}  # fmt: skip
