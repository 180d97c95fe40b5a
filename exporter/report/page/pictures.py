"""`data_uri` puts images into the page itself."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from ....runtime.inputs.image_files import Pixels

MOST = 12  # images on a page
_SIDE = 360  # pixels of an image's longer side


def data_uri(image: Pixels) -> str:
    """Return an image as a data URI, shrunk to fit the page."""
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    # Small images stay exact; large ones as PNG would make the page large.
    suffix, kind = (".jpg", "jpeg") if scale < 1 else (".png", "png")
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
