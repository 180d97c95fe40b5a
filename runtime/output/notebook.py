"""`html_of` shows an explanation as HTML, for notebooks."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from html import escape

from ..inputs.image_files import Pixels
from ..plain_text import plain
from .explanation_data import STATES, ExplanationData
from .render import Look, LookOptions, encode_image
from .views import TextView, View

_HEIGHT = 224  # height of an image on the page, in CSS pixels
_SHARPER = 2  # physical pixels for each CSS pixel, as on many screens


def html_of(
    data: ExplanationData,
    positions: Sequence[int] | None = None,
    look: LookOptions | None = None,
) -> str:
    """Return the input and each class's drawing, with label, score and probability as text.

    Args:
        data: The explanation.
        positions: Positions of the classes to show; None: all.
        look: How to draw; see `Explanation.draw`.
    """
    view, heading = data.view, f"{data.method}, {data.layer}"
    height = None if view.own_row else _HEIGHT * _SHARPER
    figures: list[str] = []
    if not isinstance(view, TextView):
        figures.append(
            _figure(_image(data.draw_input(height), view, data.name), data.name, heading)
        )
    for position in range(len(data.classes)) if positions is None else positions:
        label, number, chance = (
            data.labels[position],
            data.scores[position],
            data.probability(position),
        )
        score = f"score {number:.4g}" if math.isfinite(number) else "overflow"
        share = "" if chance is None else f", p = {chance:.3f}"
        note = f"{score}{share} {STATES[data.status[position]].strip()}".strip()
        if isinstance(view, TextView):
            chosen = Look(**(look or {}))
            values = view.project(data.shown(position, chosen))
            shown = view.html(values, data.palette(chosen), chosen)
        else:
            shown = _image(data.draw_class(position, height, look or {}), view, label)
        figures.append(_figure(shown, label, note))
    style = "display:flex;flex-wrap:wrap;gap:14px;font-family:sans-serif;font-size:13px"
    return f'<div style="{style}">{"".join(figures)}</div>'


def page_of(data: ExplanationData, positions: Sequence[int], look: LookOptions) -> str:
    """Return an HTML page with the classes at ``positions``."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(plain(data.name))}</title>"
        f'<body style="background:#fff">{html_of(data, positions, look)}</body></html>\n'
    )


def _image(image: Pixels, view: View, title: str) -> str:
    data = b64encode(encode_image(image)).decode()
    size = f'style="max-width:100%" width="{image.shape[1]}"'
    size = size if view.own_row else f'height="{_HEIGHT}"'
    return f'<img {size} alt="{escape(plain(title))}" src="data:image/png;base64,{data}">'


def _figure(shown: str, title: str, note: str) -> str:
    return (
        f'<figure style="margin:0">{shown}'
        f"<figcaption><b>{escape(plain(title))}</b><br>{escape(plain(note))}</figcaption></figure>"
    )
