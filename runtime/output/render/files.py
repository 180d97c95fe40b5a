"""These functions encode images and write them to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...errors import RenderError
from ...inputs.image_files import Pixels
from ...writing import guard, replace_file

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)
_OPTIONS = {".jpg": _JPEG, ".jpeg": _JPEG}


def write_image(path: str | Path, image: Pixels) -> Path:
    """Write an RGB uint8 image completely or not at all, in the format of the suffix.

    Missing folders are created.

    Raises:
        RenderError: The suffix is not an image format, or the file cannot be written.
    """
    path = Path(path)
    return replace_file(path, _encoded(image, path), RenderError)


def check_image_path(path: Path) -> None:
    """Refuse a place that `write_image` would refuse, before the image is computed.

    Raises:
        RenderError: As `write_image`.
    """
    _encoded(np.zeros((1, 1, 3), np.uint8), path)
    guard(path, (), RenderError)


def _encoded(image: Pixels, path: Path) -> bytes:
    try:
        return encode_image(image, path.suffix)
    except RenderError as error:
        raise RenderError(f"{path}: {error}") from None


def encode_image(image: Pixels, suffix: str = ".png") -> bytes:
    """Return the bytes of an image file with this suffix.

    Args:
        image: RGB uint8 [H, W, 3], or greyscale [H, W].
        suffix: The suffix.

    Raises:
        RenderError: The suffix is not an image format.
    """
    try:
        pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(suffix, pixels, _OPTIONS.get(suffix.lower(), ()))
    except cv2.error:
        done, data = False, np.empty(0, np.uint8)
    if not done:
        raise RenderError(f"'{suffix}' is no image format; use .png or .jpg")
    return data.tobytes()
