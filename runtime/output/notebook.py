"""`html_of` shows an explanation as HTML, for notebooks."""

from __future__ import annotations

import math
from base64 import b64encode
from html import escape

from ..inputs.image_files import Pixels
from .class_map import class_maps
from .explanation_data import ExplanationData
from .render import encode_image, resized
from .text import STATES

_HEIGHT = 224  # height of an image on the page, in CSS pixels
_SHARPER = 2  # physical pixels for each CSS pixel, as on many screens


def html_of(data: ExplanationData) -> str:
    """Return the image and each class's drawing, with label, score and probability as text."""
    height = _HEIGHT * _SHARPER
    heading = f"{data.method}, {data.layer}"
    figures = [_figure(resized(data.image, height), data.name, heading)]
    for found in class_maps(data):
        score = f"score {found.score:.4g}" if math.isfinite(found.score) else "overflow"
        share = "" if found.probability is None else f", p = {found.probability:.3f}"
        note = f"{score}{share} {STATES[found.status].strip()}".strip()
        figures.append(_figure(found.draw(height), found.label, note))
    style = "display:flex;flex-wrap:wrap;gap:14px;font-family:sans-serif;font-size:13px"
    return f'<div style="{style}">{"".join(figures)}</div>'


def _figure(image: Pixels, title: str, note: str) -> str:
    data = b64encode(encode_image(image)).decode()
    return (
        '<figure style="margin:0">'
        f'<img height="{_HEIGHT}" alt="{escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption><b>{escape(title)}</b><br>{escape(note)}</figcaption></figure>"
    )
