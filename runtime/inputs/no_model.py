"""`why_no_model` recognises what people give by mistake where a model belongs."""

from __future__ import annotations

import re
from pathlib import Path

from .image_names import SUFFIXES

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def why_no_model(text: str) -> str | None:
    """Return why an argument is no model, as the rest of a sentence; None: it may be one.

    Nothing heavy is imported, and of a file only the name and the size are read.
    """
    path = Path(text)
    if _ADDRESS.match(text):
        return "is an address, and models are not downloaded"
    if path.is_dir():
        return "is a folder, no model"
    if path.name.lower().endswith(SUFFIXES):
        return "is an image, no model"
    if path.is_file() and path.stat().st_size == 0:
        return "is empty, no model"
    return None
