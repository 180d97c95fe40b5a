"""These modules draw maps: they project a map onto its image, colour it, frame it and write it."""

from __future__ import annotations

from .bars import Bar, beside, scale_bar
from .files import check_image_path, encode_image, write_image
from .look import Look, LookOptions
from .maps import Heatmap, Status, dilated, map_status, normalise, peak
from .marks import mark
from .palettes import Palette, palette
from .panels import draw_sheet, panel, resized
from .projection import Projection, interpolation, project, resample, seen
from .sheet import Sheet, Tile
from .styles import STYLES, Scene, contour, heatmap, masked, overlay, tinted

__all__ = [
    "STYLES",
    "Bar",
    "Heatmap",
    "Look",
    "LookOptions",
    "Palette",
    "Projection",
    "Scene",
    "Sheet",
    "Status",
    "Tile",
    "beside",
    "check_image_path",
    "contour",
    "dilated",
    "draw_sheet",
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
    "scale_bar",
    "seen",
    "tinted",
    "write_image",
]
