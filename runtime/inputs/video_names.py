"""The names of video files; nothing heavy is imported for them."""

from __future__ import annotations

SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
"""Endings of the names of files that are read as videos."""
