"""`changes` lists the figures that differ from an earlier run by more than the spread of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .book import Book, Row, differences
from .sections import name_of

_LEAST = 0.005  # of the ratio; quartiles of figures without spread differ by less


def changes(book: Book, before: dict[str, Any] | None) -> list[str]:
    """Return lines for the page.

    Results of two machines are not compared. Results of two sets of versions are, with a remark.
    """
    if before is None:
        return ["There is no earlier run to compare with."]
    differing = differences(before["machine"], book.machine)
    versions = book.machine["versions"].keys() | before["machine"]["versions"].keys()
    other = [text for text in differing if text.split()[0] not in versions]
    if other:
        return [
            f"Not compared with the earlier run, since the setting differs: {'; '.join(other)}."
        ]
    intro = "Medians whose quartiles do not overlap with those of the earlier run"
    intro += f" (versions: {'; '.join(differing)})" if differing else ""
    earlier = {row["key"]: row for row in before["rows"]}
    lines = [
        line for key, row in book.rows.items() if key in earlier for line in _row(earlier[key], row)
    ]
    compared = sum(key in earlier for key in book.rows)
    if not lines:
        return [f"{intro}: none in {compared} rows."]
    return [f"{intro}:", "", "| | ratio | before | now |", "|---|---|---|---|", *lines]


def _row(before: Row, now: Row) -> list[str]:
    ratios: Mapping[str, list[float]] = before["ratios"]
    return [
        f"| {now['key'].split('/')[0]}: {name_of(now)} | {name} | {_shown(ratios[name])} "
        f"| {_shown(found)} |"
        for name, found in now["ratios"].items()
        if name in ratios and _apart(ratios[name], found)
    ]


def _apart(before: list[float], now: list[float]) -> bool:
    gap = max(now[0] - before[2], before[0] - now[2])
    return gap > 0 and abs(now[1] - before[1]) > _LEAST * abs(before[1])


def _shown(spread: list[float]) -> str:
    low, median, high = spread
    return f"{median:.3f} ({low:.3f} to {high:.3f})"
