"""The training transform resizes, crops and normalises; `place` computes where the crop lies.

Pixel values follow Pillow, whose resize torchvision and timm use in training. ``cv2.resize`` does
not antialias; ONNX Runtime's Resize does, with Pillow's filters, so two one-node models ship here.
Transforms that do not antialias (letterbox of detectors, TensorFlow) are OpenCV's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..limits import MAX_PIXELS
from ..session.providers import CPU, load_onnxruntime
from ..spec import Preprocess
from .image_files import Pixels

Plane = TypeVar("Plane", bound=np.generic)

_PLAIN = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


@dataclass(frozen=True)
class Placement:
    """The geometry between an image and the model's input.

    Attributes:
        image: Height and width of the image.
        resized: Height and width after the resize.
        offset: Top and left of the crop in the resized image; negative if it is padded.
        size: Height and width of the crop, which is the model's input.
    """

    image: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]
    size: tuple[int, int]


def place(transform: Preprocess, height: int, width: int) -> Placement:
    """Compute resize and crop for an image of ``height`` x ``width`` pixels.

    For ``shorter`` the long side is rounded down as in torchvision's Resize, for the other modes
    that keep the aspect ratio sides are rounded as in timm's ResizeKeepRatio.

    Raises:
        ImageError: The image is so narrow that its resized copy would not fit in memory.
    """
    resized = _resized(transform, height, width)
    # Only an extreme aspect ratio leads to so many more than the image has.
    if resized[0] * resized[1] > max(MAX_PIXELS, height * width):
        raise ImageError(
            f"image of {width} x {height} pixels would be resized to {resized[1]} x {resized[0]};"
            " crop it to a less extreme shape first"
        )
    size = (transform.size[0], transform.size[1])
    if transform.anchor == "top_left":
        return Placement((height, width), resized, (0, 0), size)
    half = math.floor if transform.anchor == "lower" else round
    top, left = (_crop_start(*pair, half) for pair in zip(resized, size, strict=True))
    return Placement((height, width), resized, (top, left), size)


def prepare(
    transform: Preprocess, image: Pixels, placement: Placement | None = None
) -> NDArray[Any]:
    """Convert an RGB image [H, W, 3] to one row of the model's input, [C, h, w] or [h, w, C].

    With embedded preprocessing the graph takes the image unchanged. ``placement`` is the result
    of `place` for the image, for callers that have it already.
    """
    if transform.embedded:
        return image
    placement = placement or place(transform, *image.shape[:2])
    if transform.is_grey:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.uint8, copy=False)
    elif transform.channels == "bgr":
        image = image[:, :, ::-1]
    planes = resize(
        image.transpose(2, 0, 1), placement.resized, transform.interpolation,
        antialias=transform.antialias is not False,
    )  # fmt: skip
    planes = np.broadcast_to(planes, (len(transform.mean), *planes.shape[1:]))
    planes = crop(planes, placement, transform.fill)
    mean, std = (np.array(v)[:, None, None] for v in (transform.mean, transform.std))
    values = planes.astype(np.float32)
    values *= (transform.scale / std).astype(np.float32)
    values -= (mean / std).astype(np.float32)
    return np.moveaxis(values, 0, -1) if transform.layout == "nhwc" else values


def resize(
    planes: Pixels, size: tuple[int, int], interpolation: str, *, antialias: bool = True
) -> Pixels:
    """Resize uint8 planes [C, H, W] to ``size`` with Pillow's antialiased filters, or OpenCV's."""
    if planes.shape[1:] == size:
        return planes
    if interpolation == "nearest":
        return nearest(planes, size)
    if not antialias:
        found = cv2.resize(
            planes.transpose(1, 2, 0), size[::-1], interpolation=_PLAIN[interpolation]
        )
        return found.reshape(*size, -1).transpose(2, 0, 1).astype(np.uint8, copy=False)
    mode = {"bilinear": "linear", "bicubic": "cubic"}[interpolation]
    feeds = {"image": np.ascontiguousarray(planes[None]), "sizes": np.array(size, np.int64)}
    return _resizer(mode).run(None, feeds)[0][0]


def _resized(transform: Preprocess, height: int, width: int) -> tuple[int, int]:
    """Height and width after the resize step."""
    if transform.resize is None:
        return height, width
    target, other = transform.resize[0], transform.resize[-1]
    if transform.resize_mode == "exact":
        return target, other
    short, long = sorted((height, width))
    if transform.resize_mode == "shorter":
        pair = (target, int(target * long / short))
        if transform.longest is not None and pair[1] > transform.longest:
            pair = (max(1, int(transform.longest * target / pair[1])), transform.longest)
        return pair if height <= width else (pair[1], pair[0])
    if transform.resize_mode == "longer":
        ratio = long / target
    else:
        ratio = (max if transform.resize_mode == "fit" else min)(height / target, width / other)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def _crop_start(length: int, size: int, whole: Callable[[float], int]) -> int:
    """Return where a centred crop starts along one axis; negative: pixels of padding before it."""
    return whole((length - size) / 2) if length >= size else -((size - length) // 2)


def crop(
    planes: NDArray[Plane], placement: Placement, fill: Sequence[int] | None = None
) -> NDArray[Plane]:
    """Cut the crop out of resized planes [C, H, W]; outside of them it is ``fill``, else 0."""
    (top, left), (height, width) = placement.offset, placement.size
    inside = planes[:, max(top, 0) : top + height, max(left, 0) : left + width]
    if inside.shape[1:] == (height, width):
        return inside
    padded = np.zeros((len(planes), height, width), planes.dtype)
    if fill is not None:
        padded[:] = np.array(fill).reshape(-1, 1, 1)
    top, left = max(-top, 0), max(-left, 0)
    padded[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return padded


def nearest(planes: NDArray[Plane], size: tuple[int, int]) -> NDArray[Plane]:
    """Resize planes [C, H, W] to ``size``: each pixel copies the one under its centre."""
    rows, columns = (_under(n, m) for n, m in zip(planes.shape[1:], size, strict=True))
    return planes[:, rows[:, None], columns]


def _under(length: int, size: int) -> NDArray[np.intp]:
    """Return the source index of each of ``size`` pixels, by pixel centres."""
    steps = np.full(size, length / size)
    steps[0] /= 2
    # A cumulative sum, as in Pillow: its rounding decides if a centre falls between two pixels.
    return np.cumsum(steps).astype(np.intp)


@cache
def _resizer(mode: str) -> Any:
    """Return the shared session of a filter, with one thread so that it does not spin."""
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(__file__).with_name(f"resize_{mode}.onnx").read_bytes()
    return ort.InferenceSession(model, options, providers=[CPU])
