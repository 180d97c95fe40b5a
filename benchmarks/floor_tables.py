"""`floor_tables` shows the work of explained runs and where their time above the floor goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .book import Row
from .script import table

TITLES = {
    "masks": "masks", "layout_copies": "layout copies", "conv_transpose": "ConvTranspose",
    "products": "other products", "sums": "sums", "copies": "other copies", "other": "the rest",
}  # fmt: skip
"""By cause of `graftcam.runtime.tools.bench.floor.floor`: a column of the second table."""
_WORK = (
    "One run with K = 1, N = 1 by ONNX Runtime's profile (`graftcam bench --profile` shows the "
    "same by operator). **MMAC**: millions of multiplications, each with an addition, with the "
    "channels that the blocked layout pads. **MB**: inputs and outputs of all nodes, in 10^6 "
    "bytes. **Of peak**: multiplications per time, relative to the peak, which is the fastest of "
    "the run's largest nodes that together have half of its multiplications."
)
_GAP = (
    "Milliseconds of the added nodes: what their multiplications would take at the peak and at the "
    "pace of the forward above the layer, what they took, and what the difference to the peak goes "
    "to. **Masks** are all operators of single entries except sums; **ConvTranspose** and **other "
    "products** are their time beyond that at the peak; **the rest** are reductions, norms and "
    "shapes."
)


def floor_tables(name_of: Callable[[Row], str]) -> Callable[[Sequence[Row]], list[str]]:
    """Return the function that makes both tables, with rows called by ``name_of``."""

    def tables(rows: Sequence[Row]) -> list[str]:
        counted = [row for row in rows if {"above", "added"} <= row["floor"]["parts"].keys()]
        notes = [f"- {name_of(row)}: {note}" for row in rows for note in row["floor"]["notes"]]
        return [
            "", _WORK, "",
            *table(
                ["", "MMAC above", "MMAC added", "added / above", "MB above", "MB added",
                 "of peak, above", "of peak, added", "peak, GMAC/s"],
                [[name_of(row), *_work(row["floor"])] for row in counted],
            ),
            "", _GAP, "",
            *table(
                ["", "at the peak", "at the forward's pace", "measured", *TITLES.values()],
                [[name_of(row), *_gap(row["floor"])] for row in counted],
            ),
            *(["", "Not counted:", "", *notes] if notes else []),
        ]  # fmt: skip

    return tables


def _work(floor: dict[str, Any]) -> list[str]:
    above, added = floor["parts"]["above"], floor["parts"]["added"]
    return [
        f"{above['mmac']:.1f}", f"{added['mmac']:.1f}", _ratio(added["mmac"], above["mmac"]),
        f"{above['mb']:.1f}", f"{added['mb']:.1f}", _share(above["share"]), _share(added["share"]),
        f"{floor['gmac_per_s'] or 0:.1f}",
    ]  # fmt: skip


def _gap(floor: dict[str, Any]) -> list[str]:
    above, added, gap = floor["parts"]["above"], floor["parts"]["added"], floor["gap_ms"]
    pace = added["mmac"] / above["mmac"] * above["ms"] if above["mmac"] else 0.0
    times = [floor["at_peak_ms"] or 0.0, pace, added["ms"]]
    return [f"{ms:.2f}" for ms in [*times, *(gap.get(cause, 0.0) for cause in TITLES)]]


def _ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}" if base else ""


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
