"""These functions encode images and write them to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...errors import RenderError
from ...inputs.image_files import Pixels
from ...writing import atomic_write

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)
_OPTIONS = {".jpg": _JPEG, ".jpeg": _JPEG}


def write_image(path: str | Path, image: Pixels) -> Path:
    """Write an RGB uint8 image completely or not at all, in the format of the suffix.

    Missing folders are created.

    Raises:
        RenderError: The suffix is not an image format, or the file cannot be written.
    """
    path = Path(path)
    try:
        data = encode_image(image, path.suffix)
    except RenderError as error:
        raise RenderError(f"{path}: {error}") from None
    with atomic_write(path, RenderError) as draft:
        draft.write_bytes(data)
    return path


def encode_image(image: Pixels, suffix: str = ".png") -> bytes:
    """Return the bytes of an image file with this suffix, from an RGB uint8 image.

    Raises:
        RenderError: The suffix is not an image format.
    """
    try:
        done, data = cv2.imencode(
            suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _OPTIONS.get(suffix.lower(), ())
        )
    except cv2.error:
        done, data = False, np.empty(0, np.uint8)
    if not done:
        raise RenderError(f"'{suffix}' is no image format; use .png or .jpg")
    return data.tobytes()
