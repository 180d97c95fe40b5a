"""These numbers bound the work that a file of others can cause; a file beyond one is refused.

Each is far above what people keep, and low enough that a hostile file of a few bytes takes neither
the memory nor the hour. docs/security.md lists them.
"""

from __future__ import annotations

MAX_PIXELS = 100_000_000
"""Pixels of an image file; ``max_pixels=`` and ``--max-pixels`` change it."""

IMAGE_BYTES_PER_PIXEL = 8
"""Bytes of an image file for each pixel that it may have: four channels of 16 bits."""

ARRAY_BYTES = 1 << 32
"""Bytes of a file of numbers, which are on the disk and are not unpacked."""

UNPACKED_BYTES = 1 << 30
"""Bytes that an archive, a compressed scan or a sound may become in memory."""

RIFF_CHUNKS = 1000
"""Chunks of a sound file that are looked at."""

TEXT_BYTES = 1 << 26
"""Bytes of a file of text or JSON: token tables, settings."""

TRUTH_BYTES = 1 << 30
"""Bytes of a JSON file of what people drew on all photographs of a data set (COCO)."""

NOTE_BYTES = 1 << 23
"""Bytes of a file of what people drew on one photograph (Pascal VOC, YOLO)."""

CROSSINGS = 1 << 24
"""Times that polygons drawn on one photograph cross its columns of pixels."""

LABEL_BYTES = 1 << 24
"""Bytes of a file of class names."""

LABELS = 1 << 18
"""Number of class names in a file."""

LABEL_LENGTH = 1000
"""Characters of a class name in a file."""

MESSAGE = 4000
"""Characters of an error message."""

RELAYED = 500
"""Characters of another library's message within it."""

NAME_BYTES = 255
"""Bytes of a file's name, as file systems allow."""
