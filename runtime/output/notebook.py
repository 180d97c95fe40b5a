"""Explanations as HTML, for notebooks."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from ..inputs.images import Picture
from .render import encode_image, resized
from .text import STATES

if TYPE_CHECKING:
    from .explanation import Explanation

_HEIGHT = 224  # of a picture on the page, in its pixels
_SHARPER = 2  # screens have more of them


def html_of(found: Explanation) -> str:
    """The picture and each class's drawing, with label, score and probability as text."""
    height = _HEIGHT * _SHARPER
    heading = f"{found.method}, {found.layer}"
    figures = [_figure(resized(found.image, height), found.name, heading)]
    for position, entry in enumerate(found.to_dict()["classes"]):
        score = "overflow" if entry["score"] is None else f"score {entry['score']:.4g}"
        share = "" if entry["probability"] is None else f", p = {entry['probability']:.3f}"
        state = STATES[entry["status"]].strip()
        drawn = found.draw(position, height)
        figures.append(_figure(drawn, entry["label"], f"{score}{share} {state}".strip()))
    style = "display:flex;flex-wrap:wrap;gap:14px;font-family:sans-serif;font-size:13px"
    return f'<div style="{style}">{"".join(figures)}</div>'


def _figure(picture: Picture, title: str, note: str) -> str:
    data = b64encode(encode_image(picture)).decode()
    return (
        '<figure style="margin:0">'
        f'<img height="{_HEIGHT}" alt="{escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption><b>{escape(title)}</b><br>{escape(note)}</figcaption></figure>"
    )
