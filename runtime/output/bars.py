"""`bars_of` makes the colour bars of explanations that are drawn together."""

from __future__ import annotations

from collections.abc import Sequence

from .explanation_data import ExplanationData
from .render import Bar, Look, scale_bar


def bars_of(found: Sequence[ExplanationData], look: Look) -> list[Bar]:
    """Return a colour bar for each kind of map: unsigned and signed ones.

    It bears raw values if all maps of its kind have one scale.
    """
    if look.bar is False:
        return []
    bars: list[Bar] = []
    for signed in (False, True):
        kind = [one for one in found if one.signed == signed and "ok" in one.status]
        if len(kind) == 1:
            bar = kind[0].bar(look)
        elif kind:
            bar = scale_bar(kind[0].palette(look), look, signed, None, 100)
        else:
            bar = None
        bars += [] if bar is None else [bar]
    return bars
