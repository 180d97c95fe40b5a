"""These modules draw maps: they project a map onto its image, colour it, frame it and write it."""

from __future__ import annotations

from .files import check_image_path, encode_image, write_image
from .look import Look, LookOptions
from .maps import Heatmap, Status, map_status, normalise, peak
from .marks import mark
from .palettes import palette
from .panels import Bar, panel, resized
from .projection import Projection, interpolation, project, resample, seen
from .styles import STYLES, Scene, contour, heatmap, masked, overlay

__all__ = [
    "STYLES",
    "Bar",
    "Heatmap",
    "Look",
    "LookOptions",
    "Projection",
    "Scene",
    "Status",
    "check_image_path",
    "contour",
    "encode_image",
    "heatmap",
    "interpolation",
    "map_status",
    "mark",
    "masked",
    "normalise",
    "overlay",
    "palette",
    "panel",
    "peak",
    "project",
    "resample",
    "resized",
    "seen",
    "write_image",
]
