"""`describe` says in a terminal what an evaluation found."""

from __future__ import annotations

from collections.abc import Sequence

from ....plain_text import plain
from ..candidates import ROWS
from ..measure import MEASURES
from .statistics import LEAST
from .summary import Standing, Summary, name_of

_COLUMNS = 5  # measures beside each other
_MARK = "!"


def describe(summary: Summary) -> str:
    """Return the table of means with their intervals, and what its marks mean."""
    measures = list(summary.standings)
    blocks = [
        _block(summary, measures[start : start + _COLUMNS])
        for start in range(0, len(measures), _COLUMNS)
    ]
    lines = ["\n\n".join(blocks)]
    if any(one.below for several in summary.standings.values() for one in several):
        lines.append(f"{_MARK} does not beat a row that knows nothing of the model:")
        lines += [f"  {line}" for line in _below(summary)]
    count = summary.photographs
    if count < 2:
        lines.append("one photograph: no interval and no test; score more of them")
    elif count < LEAST:
        lines.append(
            f"{count} photographs: too few for a test, so that marks go by the means alone; score "
            f"{LEAST} or more"
        )
    empty = {name: share for name, share in summary.empty.items() if share}
    lines += [f"{plain(one)}: {share:.0%} of the maps show nothing" for one, share in empty.items()]
    return "\n".join(lines)


def _block(summary: Summary, measures: Sequence[str]) -> str:
    """Some measures as columns; candidates are rows."""
    first = summary.standings[measures[0]]
    names = [plain(name_of(one.method, one.layer)) for one in first]
    cells = [[""] * 1 + [f"{name} ({MEASURES[name].better})" for name in measures]]
    for place, name in enumerate(names):
        if first[place].method in ROWS and (place == 0 or first[place - 1].method not in ROWS):
            cells.append(["-- to beat --"] + [""] * len(measures))
        cells.append([name, *(_cell(summary.standings[m][place]) for m in measures)])
    widths = [max(len(row[column]) for row in cells) for column in range(len(measures) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cell(one: Standing) -> str:
    if one.mean is None:
        return "-"
    mark = _MARK if one.below else ""
    if one.low is None or one.high is None:
        return f"{one.mean:.3f}{mark}"
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]{mark}"


def _below(summary: Summary) -> list[str]:
    """Say by measure which methods do not beat which rows."""
    found: list[str] = []
    for measure, several in summary.standings.items():
        methods: dict[str, list[str]] = {}
        for one in several:
            if one.below:
                name = plain(name_of(one.method, one.layer))
                methods.setdefault(", ".join(one.below), []).append(name)
        found += [f"{measure}: {', '.join(names)} < {rows}" for rows, names in methods.items()]
    return found
