"""`write_report` writes what `zoo_attention` found: docs/transformers-models.md and a JSON file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .script import table, write_json

_BEGIN, _END = "<!-- attention -->\n", "<!-- end of attention -->"
_COLUMNS = ("model", "input", "blocks", "weights (PyTorch)", "gradients (PyTorch)", "maps", "")
# Why softmaxes of a model are no block, or why there are no maps, where the table cannot say it.
_NOTES = {
    "xcit": "12 softmaxes are of channels by channels; no patch looks at patches",
    "volo": "4 softmaxes of outlook attention come of one linear layer, not of queries and keys",
}


def write_report(records: Sequence[dict[str, Any]], folder: Path, planned: int) -> None:
    """Write the figures, and the table between the page's marks.

    Args:
        records: Results, in the order of the table.
        folder: Where the page is.
        planned: Number of models; those without a result are counted.
    """
    write_json(folder / "attention.json", records)
    page = folder / "transformers-models.md"
    page.write_text(with_table(page.read_text("utf-8"), records, planned), "utf-8")


def with_table(page: str, records: Sequence[dict[str, Any]], planned: int) -> str:
    """Return the page with the text between its two marks replaced."""
    shown = [record for record in records if record["verdict"] != "none"]
    lines = [_summary(records, shown, planned), "", *table(_COLUMNS, map(_cells, shown))]
    head, rest = page.split(_BEGIN, 1)
    return f"{head}{_BEGIN}\n" + "\n".join(lines) + f"\n\n{_END}{rest.split(_END, 1)[1]}"


def _summary(
    records: Sequence[dict[str, Any]], shown: Sequence[dict[str, Any]], planned: int
) -> str:
    verdicts = Counter(record["verdict"] for record in shown)
    text = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    none = len(records) - len(shown)
    parts = [f"Of {len(shown)} models with attention: {text}"]
    if none:
        parts.append(f"{none} more have none")
    if planned > len(records):
        parts.append(f"{planned - len(records)} models have not been run yet")
    return "; ".join(parts) + "."


def _cells(record: dict[str, Any]) -> list[str]:
    size = "x".join(str(side) for side in record["size"])
    name = f"`{record['model']}`"
    if "blocks" not in record:
        return [name, size, *[""] * 4, f"{record['verdict']}: {_in_short(record['faults'])}"]
    roles = ", ".join(f"{count} {role}" for role, count in record["roles"].items())
    note = next((text for start, text in _NOTES.items() if record["model"].startswith(start)), "")
    if record["softmaxes"] > record["blocks"] and not note:
        note = f"{record['softmaxes'] - record['blocks']} softmaxes are no blocks"
    if [*record["roles"]] == ["apart"] and not note:
        note = "each block is of windows, of a few places or of channels"
    if record["verdict"] != "pass":
        note = f"{record['verdict']}; {note}"
    return [
        name, size, roles, _pair(record["weights"]), _pair(record["gradients"]),
        ", ".join(record["methods"]) or "none", note,
    ]  # fmt: skip


def _in_short(faults: Sequence[str]) -> str:
    return " ".join(" ".join(faults).split())[:200]


def _pair(worst: dict[str, Any]) -> str:
    return f"{worst['error']:.0e} ({worst['own']:.0e})"
