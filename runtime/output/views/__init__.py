"""A view draws one input of a model with a map over it: photograph, array, signal, volume, text."""

from __future__ import annotations

from .make import view_of
from .photo import PhotoView
from .plane import PlaneView
from .text import TextView
from .view import Drawing, View

__all__ = ["Drawing", "PhotoView", "PlaneView", "TextView", "View", "view_of"]
