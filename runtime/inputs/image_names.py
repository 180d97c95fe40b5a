"""The names of image files; nothing heavy is imported for them."""

from __future__ import annotations

SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of the names of image files."""
