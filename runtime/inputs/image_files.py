"""These functions decode image files, from a path or from memory, to RGB uint8 arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..limits import IMAGE_BYTES_PER_PIXEL, MAX_PIXELS
from ..reading import read_file
from .file_formats import is_cut_off, is_tiff, may_be_transparent
from .image_sizes import image_size

Pixels: TypeAlias = NDArray[np.uint8]
"""One image as all steps take it: RGB uint8 [H, W, 3]."""

WHITE = 255

_STRIP = 64  # rows that are converted at once
_NOTES = 1 << 26  # bytes of a file beside its pixels: profiles, thumbnails, a film
_NO_MEMORY = -4  # OpenCV's code of an error


def read_image(path: str | Path, ground: int = WHITE, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read an image file; see `decode_image`.

    Args:
        path: The file.
        ground: The grey level of the background of transparent parts.
        max_pixels: Number of pixels that it may have.

    Raises:
        ImageError: The file is missing, no regular file, truncated or too large, or OpenCV cannot
            decode it.
    """
    # Not cv2.imread: it cannot open non-ASCII paths on Windows.
    data = read_file(path, ImageError, max_pixels * IMAGE_BYTES_PER_PIXEL + _NOTES)
    return decode_image(data, str(path), ground, max_pixels)


def decode_image(
    data: bytes, name: str, ground: int = WHITE, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Decode an image file's bytes to RGB uint8 [H, W, 3], upright by its EXIF orientation.

    Transparent parts are laid over white, as in viewers and browsers. Greyscale is repeated for the
    three channels, 16-bit values are scaled down to 8 bits, CMYK is converted. Of several images in
    one file (frames, pages) the first is meant.

    Args:
        data: The bytes.
        name: The name of the image in error messages.
        ground: The grey level of the background, instead of white.
        max_pixels: Number of pixels that its header may name.

    Raises:
        ImageError: The bytes are truncated, there are too many pixels, or OpenCV cannot decode
            them.
    """
    if is_cut_off(data):
        raise ImageError(f"{name} is cut off: the end of the file is missing; copy it again")
    size = image_size(data)
    if size is not None:
        check_pixels(name, size, max_pixels)
    try:
        # A format whose size nobody looked at is not decoded.
        rgb = None if size is None else _decoded(np.frombuffer(data, np.uint8), data, ground)
    except MemoryError:
        raise ImageError(f"{name} needs more memory than there is; shrink it") from None
    if rgb is None:
        raise ImageError(f"{name} is no image that OpenCV can decode; convert it to PNG or JPEG")
    return rgb


def check_pixels(name: str, size: tuple[int, int], max_pixels: int) -> None:
    """Raise ImageError if an image of this width and height has too many pixels."""
    if size[0] * size[1] > max_pixels:
        raise ImageError(
            f"{name} has {size[0]} x {size[1]} pixels, more than {max_pixels:,}; shrink it, or "
            "raise max_pixels (--max-pixels)"
        )


def _decoded(buffer: Pixels, data: bytes, ground: int) -> Pixels | None:
    """Decode an image and lay it over the ground; None: OpenCV cannot."""
    # IMREAD_COLOR applies the orientation and drops alpha; IMREAD_UNCHANGED does neither.
    image = _decode(buffer, cv2.IMREAD_COLOR)
    if image is None:
        return None
    rgb = cast("Pixels", image)
    for strip in _strips(rgb):
        strip[:] = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
    if not may_be_transparent(data):
        return rgb
    whole = _decode(buffer, cv2.IMREAD_UNCHANGED)
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4 or whole.dtype.kind != "u":
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
    except cv2.error as error:
        if error.code == _NO_MEMORY:
            raise MemoryError from error
        return None


def _turned_like(rgb: Pixels, rgba: NDArray[Any]) -> NDArray[Any]:
    """Rotate and flip the image with alpha until its colours equal the upright ``rgb``."""
    for upright in (rgba, rgba[:, ::-1]):
        for quarters in range(4):
            turned = np.rot90(upright, quarters)
            if np.array_equal(turned[:, :, :3], rgb):
                return turned
    return rgba
