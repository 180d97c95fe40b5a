"""`changes` lists the figures that differ from an earlier run by more than the spread of both."""

from __future__ import annotations

from typing import Any

from .book import Book, differences
from .script import shown, table
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
    both = [
        (earlier[key], row)
        for key, row in book.rows.items()
        if key in earlier and earlier[key].get("cpu") == row.get("cpu")
    ]
    cells = [
        [
            f"{now['key'].split('/')[0]}: {name_of(now)}",
            name,
            shown(old["ratios"][name]),
            shown(new),
        ]
        for old, now in both
        for name, new in now["ratios"].items()
        if name in old["ratios"] and _apart(old["ratios"][name], new)
    ]
    if not cells:
        return [f"{intro}: none in {len(both)} rows."]
    return [f"{intro}:", "", *table(["", "ratio", "before", "now"], cells)]


def _apart(before: list[float], now: list[float]) -> bool:
    gap = max(now[0] - before[2], before[0] - now[2])
    return gap > 0 and abs(now[1] - before[1]) > _LEAST * abs(before[1])
