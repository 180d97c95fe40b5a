"""These functions decode image files, from a path or from memory, to RGB uint8 arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, system_errors
from .file_formats import is_cut_off, is_tiff, may_be_transparent

Pixels: TypeAlias = NDArray[np.uint8]
"""One image as all steps take it: RGB uint8 [H, W, 3]."""

SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of the names of image files."""

WHITE = 255

_STRIP = 64  # rows that are converted at once


def read_image(path: str | Path, ground: int = WHITE) -> Pixels:
    """Read an image file; see `decode_image`.

    Args:
        path: The file.
        ground: The grey level of the background of transparent parts.

    Raises:
        ImageError: The file is missing, unreadable or truncated, or OpenCV cannot decode it.
    """
    with system_errors(ImageError, f"cannot read {path}"):
        # Not cv2.imread: it cannot open non-ASCII paths on Windows.
        data = np.fromfile(path, np.uint8)
    return decode_image(data, str(path), ground)


def decode_image(data: NDArray[np.uint8], name: str, ground: int = WHITE) -> Pixels:
    """Decode an image file's bytes to RGB uint8 [H, W, 3], upright by its EXIF orientation.

    Transparent parts are laid over white, as in viewers and browsers. Greyscale is repeated for the
    three channels, 16-bit values are scaled down to 8 bits, CMYK is converted.

    Args:
        data: The bytes, uint8 [bytes].
        name: The name of the image in error messages.
        ground: The grey level of the background, instead of white.

    Raises:
        ImageError: The bytes are truncated, or OpenCV cannot decode them.
    """
    if is_cut_off(data):
        raise ImageError(f"{name} is cut off: the end of the file is missing; copy it again")
    # IMREAD_COLOR applies the orientation and drops alpha; IMREAD_UNCHANGED does neither.
    image = _decode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{name} is no image that OpenCV can decode; convert it to PNG or JPEG")
    rgb = cast("Pixels", image)
    for strip in _strips(rgb):
        strip[:] = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
    if not may_be_transparent(data):
        return rgb
    whole = _decode(data, cv2.IMREAD_UNCHANGED)
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4:
        return rgb
    # libtiff multiplies the colours of an 8-bit TIFF by alpha.
    multiplied = is_tiff(data) and whole.dtype == np.uint8
    if whole.dtype == np.uint16:
        whole = (whole >> 8).astype(np.uint8)
    rgba = _turned_like(rgb, cv2.cvtColor(whole, cv2.COLOR_BGRA2RGBA))
    return lay_over(rgba, ground, multiplied=multiplied)


def lay_over(rgba: NDArray[Any], ground: int = WHITE, *, multiplied: bool = False) -> Pixels:
    """Lay a uint8 image [H, W, 4] over a grey level: RGB uint8 [H, W, 3].

    Args:
        rgba: The image.
        ground: The grey level.
        multiplied: Its colours are multiplied by alpha already.
    """
    laid = np.empty((*rgba.shape[:2], 3), np.uint8)
    for part, strip in zip(_strips(rgba), _strips(laid), strict=True):
        colours, alpha = part[:, :, :3], part[:, :, 3:].astype(np.uint16)
        weighted = colours * np.uint16(255) if multiplied else colours * alpha
        strip[:] = (weighted + ground * (255 - alpha) + 127) // 255
    return laid


def _strips(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Cut an image into strips of rows, as views: a second copy of a large one is never needed."""
    return [image[top : top + _STRIP] for top in range(0, len(image), _STRIP)]


def _decode(data: NDArray[np.uint8], flags: int) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        return None


def _turned_like(rgb: Pixels, rgba: NDArray[Any]) -> NDArray[Any]:
    """Rotate and flip the image with alpha until its colours equal the upright ``rgb``."""
    for upright in (rgba, rgba[:, ::-1]):
        for quarters in range(4):
            turned = np.rot90(upright, quarters)
            if np.array_equal(turned[:, :, :3], rgb):
                return turned
    return rgba
