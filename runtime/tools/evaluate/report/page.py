"""`page_of` makes the page of an evaluation: the answer, the table, curves, and photographs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ....inputs.image_files import Pixels
from ....output.render import encode_image
from ..candidates import ROWS
from ..measure import MEASURES
from .advice import Pick
from .plot import AXES, key, plot
from .statistics import LEAST
from .summary import Standing, Summary, name_of


@dataclass(frozen=True)
class Shown:
    """A photograph on the page.

    Attributes:
        path: Its path.
        label: The class.
        image: The photograph and the map over it, RGB uint8.
        scores: The measures by their ids.
    """

    path: str
    label: str
    image: Pixels
    scores: Mapping[str, float]


def page_of(
    title: str, summary: Summary, pick: Pick | None, best: Sequence[Shown], worst: Sequence[Shown]
) -> str:
    """Return the page as HTML, which needs no other file.

    Args:
        title: What was evaluated.
        summary: The scores.
        pick: The method that wins; None: there is none.
        best: Photographs on which it scores best.
        worst: Those on which it scores worst.
    """
    parts = [f"<h1>{escape(title)}</h1>", _answer(summary, pick), _table(summary)]
    if summary.curves:
        parts.append("<h2>Curves</h2>")
        plots = "".join(
            f"<figure><figcaption>{measure}: {MEASURES[measure].what}; {MEASURES[measure].better} "
            f"is better</figcaption>"
            + plot(curves, AXES.get(measure, "share of the pixels"), measure)
            + "</figure>"
            for measure, curves in summary.curves.items()
        )
        parts.append(f'<div class="plots">{plots}</div>')
        parts.append(key(list(next(iter(summary.curves.values())))))
    for heading, shown in (("Best", best), ("Worst", worst)):
        if shown and pick:
            parts.append(f"<h2>{heading} photographs of {escape(pick.name)}</h2>")
            parts.append(f'<div class="photos">{"".join(map(_photo, shown))}</div>')
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _answer(summary: Summary, pick: Pick | None) -> str:
    count = summary.photographs
    told = f"{count} photograph{'s' * (count != 1)}"
    told += f", {summary.failed} failed" if summary.failed else ""
    if pick is None:
        return f"<p>{told}.</p>"
    number = len(pick.measures)
    lines = [
        f"<strong>{escape(pick.name)}</strong> has the best mean rank, {pick.rank:.1f}, over "
        f"{number} measure{'s' * (number != 1)} of {told}"
        + (f"; it is the best in {', '.join(pick.wins)}." if pick.wins else ".")
    ]
    if pick.alike:
        lines.append(f"Not surely worse: {escape(', '.join(pick.alike))}.")
    for row in ROWS:
        lost = [measure for measure, rows in pick.below.items() if row in rows]
        if lost:
            lines.append(
                f'<span class="bad">It does not beat <em>{row}</em> in {", ".join(lost)}.</span>'
            )
    if count < 2:
        lines.append("One photograph has no interval and no test; score more of them.")
    elif count < LEAST:
        lines.append(f"{count} photographs are too few for a test; score {LEAST} or more.")
    return f'<p class="answer">{" ".join(lines)}</p>'


def _table(summary: Summary) -> str:
    """Candidates as rows, measures as columns."""
    measures = list(summary.standings)
    if not measures:
        return "<p>No photograph was scored.</p>"
    head = "".join(
        f'<th title="{escape(MEASURES[m].what)}; {escape(MEASURES[m].source)}">{m}'
        f"<small>{'higher' if MEASURES[m].sign > 0 else 'lower'} is better</small></th>"
        for m in measures
    )
    best = {measure: _best(summary.standings[measure], measure) for measure in measures}
    rows: list[str] = []
    for place, one in enumerate(summary.standings[measures[0]]):
        cells = "".join(
            _cell(summary.standings[m][place], first=summary.standings[m][place].mean == best[m])
            for m in measures
        )
        kind = ' class="row"' if one.method in ROWS else ""
        rows.append(f"<tr{kind}><th>{escape(name_of(one.method, one.layer))}</th>{cells}</tr>")
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        "<p><small>Means with 95 % intervals over photographs; bold is the best method. "
        '<span class="bad">Red</span> beats not all of the last rows, which know nothing of the '
        "model: noise, a bump in the middle, edges, brightness.</small></p>"
    )


def _best(standings: Sequence[Standing], measure: str) -> float | None:
    means = [one.mean for one in standings if one.method not in ROWS and one.mean is not None]
    if not means:
        return None
    return max(means, key=lambda mean: MEASURES[measure].sign * mean)


def _cell(one: Standing, *, first: bool) -> str:
    if one.mean is None:
        return "<td>-</td>"
    names = [
        name for name, holds in (("best", first and one.method not in ROWS), ("bad", one.below))
        if holds
    ]  # fmt: skip
    title = f"does not beat {', '.join(one.below)}" if one.below else ""
    ends = "" if one.low is None else f"<small>{one.low:.3f} … {one.high:.3f}</small>"
    attributes = f' class="{" ".join(names)}"' if names else ""
    attributes += f' title="{title}"' if title else ""
    return f"<td{attributes}>{one.mean:.3f}{ends}</td>"


def _photo(shown: Shown) -> str:
    data = b64encode(encode_image(shown.image, ".jpg")).decode()
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in shown.scores.items())
    text = escape(f"{shown.path}: {shown.label}")
    return (
        f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{text}<br><small>{numbers}</small></figcaption></figure>"
    )


_STYLE = """
:root{color-scheme:light dark;--line:#d9d9d9;--soft:#666;--bad:#b3261e;--back:#fff;--ink:#1b1b1b}
@media(prefers-color-scheme:dark){:root{--line:#444;--soft:#aaa;--bad:#ff8a80;--back:#161616;--ink:#eee}}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1200px;margin:0 auto;padding:16px}
h1{font-size:22px}h2{font-size:17px;margin-top:28px}
small{color:var(--soft);font-size:12px}td small,thead small{display:block;font-weight:400}
.answer{font-size:17px}.bad{color:var(--bad)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
tbody th{text-align:left;font-weight:500;white-space:nowrap}.best{font-weight:700}
tr.row{color:var(--soft)}
.plots,.photos{display:flex;flex-wrap:wrap;gap:18px}figure{margin:0;flex:1 1 380px;max-width:560px}
.photos figure{flex:0 1 360px}img{max-width:100%;border-radius:4px}
svg{width:100%;height:auto}polyline{fill:none;stroke-width:2}
svg text{font-size:11px;fill:var(--soft)}.x{text-anchor:middle}
.y{text-anchor:end;dominant-baseline:middle}
.grid{stroke:var(--line)}.key span{display:inline-flex;align-items:center;gap:6px;margin-right:16px}
.dash{width:28px;height:8px}
"""
