"""`with_figures` writes what was measured, and what commands printed, into the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..script import table

_HEADS = ("detector", "boxes", "method", "in its own box", "in other boxes", "empty maps", "left")


def with_figures(page: str, record: Mapping[str, Any]) -> str:
    """Return the page with the text after each mark ``<!-- NAME -->`` replaced, up to its end."""
    blocks = {"table": "\n" + "\n".join(_table(record)) + "\n\n"}
    for name, command in record["commands"].items():
        printed = "".join(f"{line}\n" for line in command["printed"])
        blocks[name] = f"\n```sh\n{command['line']}\n```\n\n```text\n{printed}```\n\n"
    for name, text in blocks.items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        head, rest = page.split(begin, 1)
        page = head + begin + text + end + rest.split(end, 1)[1]
    return page


def _table(record: Mapping[str, Any]) -> list[str]:
    cells: list[list[str]] = []
    for subject in record["subjects"]:
        for number, row in enumerate(subject["means"]):
            first = number == 0
            cells.append([
                subject["name"] if first else "", str(row["boxes"]) if first else "",
                f"`{row['method']}`", f"{row['own']:.0%}", f"{row['others']:.0%}",
                str(row["empty"]), f"{row['left']:.0%}",
            ])  # fmt: skip
    return table(_HEADS, cells)
