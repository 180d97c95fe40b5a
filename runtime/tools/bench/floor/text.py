"""`describe_floor` formats a floor as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ....plain_text import plain_lines
from ..table import aligned
from .floor import Floor, Row
from .parts import Part

WORDS = {
    "masks": "masks and derivatives",
    "layout_copies": "layout copies (ReorderInput, ReorderOutput)",
    "conv_transpose": "ConvTranspose below the peak", "products": "other products below the peak",
    "sums": "sums", "copies": "other copies", "other": "the rest (reductions, norms, shapes)",
}  # fmt: skip
"""By cause: what time above the floor goes to."""
_PARTS: dict[Part, str] = {
    "above": "forward above the layer", "rest": "the rest of the forward", "added": "added nodes",
}  # fmt: skip
_TOP, _WIDTH = 6, 80


def describe_floor(floor: Floor, name: str) -> str:
    """Format the table by part and operator, the peak, and where the time above the floor goes.

    Args:
        floor: The figures.
        name: Name of the run, such as ``K = 1``.
    """
    divided = floor.part("above") is not None
    rows = [["", "nodes", "ms", "MMAC", "MB", "of peak", "GB/s"]]
    for whole in floor.parts:
        title = _PARTS[whole.part] if divided or whole.part == "added" else "forward"
        rows.append(_cells(title, whole))
        of_part = [row for row in floor.operators if row.part == whole.part]
        rows += [_cells(f"  {row.operator}", row) for row in of_part[:_TOP]]
        if others := of_part[_TOP:]:
            rows.append(_cells(f"  {len(others)} others", _joined(others)))
    lines = [f"The floor: multiplications (MAC) and bytes moved in one run with {name}:"]
    lines += [*aligned(rows), "", *_wrapped(_peak(floor))]
    for text in _sentences(floor):
        lines += _wrapped(text)
    if floor.gap_ms:
        causes = sorted(floor.gap_ms.items(), key=lambda item: -abs(item[1]))
        lines += aligned([[f"  {WORDS[cause]}", f"{ms:.3f} ms"] for cause, ms in causes if ms])
    for note in floor.notes:
        lines += _wrapped(f"note: {note}")
    return plain_lines(lines)


def _cells(title: str, row: Row) -> list[str]:
    share = "-" if row.share is None else f"{row.share:.0%}"
    pace = f"{row.bytes / row.ms / 1e6:.1f}" if row.ms else "-"
    return [
        title, str(row.nodes), f"{row.ms:.3f}", f"{row.macs / 1e6:.1f}", f"{row.bytes / 1e6:.1f}",
        share, pace,
    ]  # fmt: skip


def _joined(rows: Sequence[Row]) -> Row:
    """Return the sum of rows; a share of their little work says nothing."""
    nodes, macs, moved = (
        sum(getattr(row, name) for row in rows) for name in ("nodes", "macs", "bytes")
    )
    return Row(rows[0].part, "", nodes, sum(row.ms for row in rows), macs, moved, None)


def _peak(floor: Floor) -> str:
    peak = floor.peak
    if peak is None:
        return "peak: unknown, since no multiplications were counted"
    return (
        f"peak: {peak.per_ms / 1e6:.1f} GMAC/s, by {peak.node} ({peak.operator}, "
        f"{peak.macs / 1e6:.1f} MMAC), the fastest of the largest nodes, which have half of all "
        "multiplications. Channels that the blocked layout pads to 8 or 16 count."
    )


def _sentences(floor: Floor) -> list[str]:
    if floor.at_peak_ms is None:
        return []
    ratio = "no part of the forward to compare with"
    if floor.ratio is not None:
        ratio = f"{floor.ratio:.2f} times the multiplications of the forward above the layer"
    of_above = pace = ""
    forward = floor.part("above")
    if forward and floor.ratio is not None:
        pace = f", at the pace of that forward {floor.ratio * forward.ms:.3f} ms"
    if floor.of_above is not None:
        of_above = f", {floor.of_above:.2f} times that forward's time"
    above = floor.ms - floor.at_peak_ms
    return [
        f"floor: the added nodes have {ratio}. At the peak they take {floor.at_peak_ms:.3f} ms"
        f"{pace}; measured: {floor.ms:.3f} ms{of_above}.",
        f"Of the {above:.3f} ms above the floor:",
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
