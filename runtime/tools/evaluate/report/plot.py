"""`plot` draws the curves of insertion or deletion as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ..candidates import ROWS
from ..measure import MEASURES

WIDTH, HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 20, 10, 34
# Okabe and Ito's colours, which can be told apart by people who see few of them.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#637939")
GREY = "#8a8a8a"
AXES = {"insertion": "share of the pixels inserted", "deletion": "share of the pixels deleted"}
_ALONE = (
    "svg{background:#fff}text{font:11px system-ui,sans-serif;fill:#555}.title{font-size:12px;"
    "fill:#1b1b1b}polyline{fill:none;stroke-width:2}.grid{stroke:#d9d9d9}.x{text-anchor:middle}"
    ".y{text-anchor:end;dominant-baseline:middle}"
)
_DASHES = {"random": "2 3", "centre": "7 4", "sobel": "1 4", "intensity": "9 3 2 3"}


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each candidate: grey for rows to beat."""
    methods = [name for name in names if name not in ROWS]
    return {
        name: GREY if name in ROWS else COLOURS[methods.index(name) % len(COLOURS)]
        for name in names
    }


def plot(curves: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> str:
    """Draw curves over the share of the pixels, 0 to 1.

    Args:
        curves: The mean curve of each candidate, at equal steps.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
    """
    values = [value for curve in curves.values() for value in curve]
    low, high = min(0.0, *values), max(values)
    span = high - low or 1.0

    def at(share: float, value: float) -> str:
        x = _LEFT + share * (WIDTH - _LEFT - _RIGHT)
        y = _TOP + (high - value) / span * (HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    parts: list[str] = []
    for tick in range(5):
        share, value = tick / 4, low + span * tick / 4
        (x, y), (left, _), (right, _) = (
            at(*place).split(",") for place in ((share, value), (0, value), (1, value))
        )
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y}" class="y">{value:.2g}</text>')
        parts.append(f'<text x="{x}" y="{HEIGHT - _BOTTOM + 14}" class="x">{share:.0%}</text>')
    colours = colours_of(list(curves))
    for name, curve in curves.items():
        points = " ".join(at(n / (len(curve) - 1), v) for n, v in enumerate(curve))
        parts.append(_line(points, name, colours[name]))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 4}" class="x">{escape(x_label)}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)}">'
        f"{''.join(parts)}</svg>"
    )


def drawing(measure: str, curves: Mapping[str, Sequence[float]]) -> str:
    """Return a plot with its key as an SVG file."""
    names, line = list(curves), 18
    colours = colours_of(names)
    entries = "".join(
        f'<g transform="translate({WIDTH + 10} {_TOP + line * place})">'
        f'{_line("0,6 24,6", name, colours[name])}<text x="30" y="10">{escape(name)}</text></g>'
        for place, name in enumerate(names)
    )
    title = f"{measure}: {MEASURES[measure].what}; {MEASURES[measure].better} is better"
    inner = plot(curves, AXES.get(measure, "share of the pixels"), measure)
    inner = inner.replace("<svg ", f'<svg width="{WIDTH}" height="{HEIGHT}" ')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -24 {WIDTH + 130} {HEIGHT + 24}">'
        f"<style>{_ALONE}</style>"
        f'<text x="{_LEFT}" y="-8" class="title">{escape(title)}</text>{inner}{entries}</svg>\n'
    )


def key(names: Sequence[str]) -> str:
    """Return the key to the curves, as HTML."""
    colours = colours_of(names)
    entries = "".join(
        f'<span><svg viewBox="0 0 28 8" class="dash">{_line("0,4 28,4", name, colours[name])}</svg>'
        f"{escape(name)}</span>"
        for name in names
    )
    return f'<p class="key">{entries}</p>'


def _line(points: str, name: str, colour: str) -> str:
    dash = f' stroke-dasharray="{_DASHES[name]}"' if name in _DASHES else ""
    title = f"<title>{escape(name)}</title>"
    return f'<polyline points="{points}" stroke="{colour}"{dash}>{title}</polyline>'
