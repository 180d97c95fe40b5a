"""`document` describes the interface as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from ...version import __version__


def document() -> dict[str, Any]:
    """Return the description, in JSON's types."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "graftcam serve", "version": __version__},
        "paths": {},
    }
