"""`write_jpeg` stores a picture of the documents in few bytes."""

from __future__ import annotations

from pathlib import Path

import cv2

_LARGEST = 150_000  # bytes of a picture
_POOREST = 55  # no JPEG file has a quality as low as this


def write_jpeg(picture: Path, target: Path) -> None:
    """Write a picture as JPEG of at most `_LARGEST` bytes.

    Raises:
        RuntimeError: It is larger even at a poor quality.
    """
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    for quality in range(90, _POOREST, -5):
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if data.size <= _LARGEST:
            target.write_bytes(data.tobytes())
            return
    raise RuntimeError(f"{picture.name} is larger than {_LARGEST} bytes at quality {_POOREST + 5}")
