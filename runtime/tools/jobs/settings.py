"""`Settings` describes a job in plain values that can be sent to another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...explain.request import Request
from ...limits import MAX_PIXELS


@dataclass(frozen=True)
class Settings:
    """What to do to every image of a folder.

    Attributes:
        model: The artifact, an absolute path.
        images: The folder, an absolute path; images are named relative to it.
        output: The folder for table and overlays, an absolute path.
        request: A `Request` of values that JSON can represent.
        drawing: Keyword arguments of ``Explanation.save``: alpha, colormap...
        batch: Number of images that are explained together. It is a setting since the last digits
            of a score can depend on it.
        provider: ONNX Runtime's execution provider; None: the best one available.
        threads: Threads within one operator; None: ONNX Runtime's choice.
        max_pixels: Number of pixels that an image file may have.
        preprocess: The training transform in words; None: the one that the artifact stores.
    """

    model: str
    images: str
    output: str
    request: Request = field(default_factory=Request)
    drawing: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: int = 8
    provider: str | None = None
    threads: int | None = None
    max_pixels: int = MAX_PIXELS
    preprocess: str | None = None

    def record(self, artifact: str) -> dict[str, Any]:
        """Return what all rows of one table have in common, as JSON.

        Provider and threads are left out: a job may be finished on another machine; and so is
        ``max_pixels``: images that were too large may be tried again with more.

        Args:
            artifact: A digest of the model's metadata.
        """
        names = ("images", "request", "drawing", "batch")
        return {"artifact": artifact, **{name: getattr(self, name) for name in names}}
