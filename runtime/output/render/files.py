"""Images as files."""

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
    """Write an RGB uint8 image whole or not at all; the suffix is the format, folders are made.

    Raises:
        RenderError: The suffix is no image format, or the file cannot be written.
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
    """An RGB uint8 image as the bytes of a file of this suffix.

    Raises:
        RenderError: The suffix is no image format.
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
