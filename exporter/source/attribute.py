"""`attribute` imports what ``package.module:name`` stands for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ..errors import CaptureError, first_line


def attribute(module: str, name: str) -> Any:
    """Return ``name`` of ``module``, which may be in the working folder, as for ``python -m``.

    Raises:
        CaptureError: The module cannot be imported, or has no such attribute.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise CaptureError(f"cannot import {module}:{name}: {first_line(error)}") from error
    return found
