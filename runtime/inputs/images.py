"""Pictures as the caller has them, as RGB uint8 arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .file_formats import is_cut_off, is_tiff, may_be_transparent

Picture: TypeAlias = NDArray[np.uint8]
Image: TypeAlias = str | Path | NDArray[Any]

WHITE = 255
_REMEDY = "pass a path or an RGB uint8 array [H, W, 3], e.g. numpy.asarray(picture.convert('RGB'))"


def is_batch(image: object) -> bool:
    """Whether ``image`` is several pictures: a list, a tuple, or an array [N, H, W, channels]."""
    return isinstance(image, (list, tuple)) or (isinstance(image, np.ndarray) and image.ndim == 4)


def as_rgb(image: object) -> Picture:
    """Return one picture as RGB uint8 [H, W, 3], a copy of its own.

    Args:
        image: A path, or a uint8 array: RGB [H, W, 3], RGBA [H, W, 4] (laid over white),
            greyscale [H, W] or [H, W, 1].

    Raises:
        ImageError: The file is missing or no picture; the array has another type or shape.
    """
    if isinstance(image, (str, Path)):
        return read_image(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"a {type(image).__name__} is no picture; {_REMEDY}")
    array = cast("NDArray[Any]", image)
    if array.dtype != np.uint8:
        raise ImageError(f"picture has type {array.dtype}; {_REMEDY}, values 0 to 255")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ImageError(f"picture has shape {list(array.shape)}; {_REMEDY}")
    if array.shape[2] == 4:
        return lay_over(array)
    channels = array if array.shape[2] == 3 else np.repeat(array, 3, axis=2)
    # A copy: video loops reuse their frame while the explanation still shows it.
    return np.array(channels, order="C")


def read_image(path: str | Path, ground: int = WHITE) -> Picture:
    """Read a picture file as RGB uint8 [H, W, 3], turned as its EXIF orientation says.

    What is transparent is laid over white, as viewers and browsers show it; greyscale is repeated,
    16-bit values are scaled down to 8 bits, CMYK is converted.

    Args:
        path: The file.
        ground: The grey level to lay it over instead of white.

    Raises:
        ImageError: The file is missing, unreadable, cut off, or no picture that OpenCV knows.
    """
    try:
        # Not cv2.imread: it cannot open non-ASCII paths on Windows.
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    if is_cut_off(data):
        raise ImageError(f"{path} is cut off: the end of the file is missing; copy it again")
    # IMREAD_COLOR applies the orientation and drops alpha; IMREAD_UNCHANGED does neither.
    picture = _decode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise ImageError(f"{path} is no picture that OpenCV can decode; convert it to PNG or JPEG")
    rgb = cast("Picture", cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if not may_be_transparent(data):
        return rgb
    whole = _decode(data, cv2.IMREAD_UNCHANGED)
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4:
        return rgb
    # Of TIFF with 8 bits a channel libtiff multiplies the colours by alpha.
    multiplied = is_tiff(data) and whole.dtype == np.uint8
    if whole.dtype == np.uint16:
        whole = (whole >> 8).astype(np.uint8)
    rgba = _turned_like(rgb, cv2.cvtColor(whole, cv2.COLOR_BGRA2RGBA))
    return lay_over(rgba, ground, multiplied=multiplied)


def lay_over(rgba: NDArray[Any], ground: int = WHITE, *, multiplied: bool = False) -> Picture:
    """Lay a uint8 picture [H, W, 4] over a grey level: RGB uint8 [H, W, 3].

    Args:
        rgba: The picture.
        ground: The grey level.
        multiplied: Its colours have been multiplied by alpha already.
    """
    colours, alpha = rgba[:, :, :3], rgba[:, :, 3:].astype(np.uint16)
    weighted = colours * np.uint16(255) if multiplied else colours * alpha
    return ((weighted + ground * (255 - alpha) + 127) // 255).astype(np.uint8)


def _decode(data: NDArray[np.uint8], flags: int) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        return None


def _turned_like(rgb: Picture, rgba: NDArray[Any]) -> NDArray[Any]:
    """The picture with alpha, turned as the EXIF orientation turned the one without."""
    for upright in (rgba, rgba[:, ::-1]):
        for quarters in range(4):
            turned = np.rot90(upright, quarters)
            if np.array_equal(turned[:, :, :3], rgb):
                return turned
    return rgba


def picture_names(images: Sequence[object]) -> list[str]:
    """Name each picture after its file, or ``image``; a repeated name gets a number."""
    counts: Counter[str] = Counter()
    names: dict[str, None] = {}
    for image in images:
        stem = Path(image).stem if isinstance(image, (str, Path)) else "image"
        counts[stem] += 1
        name = stem if counts[stem] == 1 else f"{stem}-{counts[stem]}"
        while name in names:  # a file may be called photo-2 itself
            counts[stem] += 1
            name = f"{stem}-{counts[stem]}"
        names[name] = None
    return list(names)
