"""These functions write the stored figures into docs/migration.md and docs/comparison.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..script import table
from .case import Case

_HEADS = ("in Python", "in the shell", "largest difference", "correlation", "remark")
_PEERS = ("pytorch-grad-cam", "captum", "torch-cam")


def with_agreement(
    page: str, record: Mapping[str, Any], cases: Mapping[str, Sequence[Case]]
) -> str:
    """Return docs/migration.md with the table of each peer, and the setting.

    Args:
        page: Its text, with marks ``<!-- NAME -->`` and ``<!-- end -->``.
        record: The stored figures.
        cases: The calls by peer.
    """
    page = _replaced(page, "setting", _setting(record))
    for peer, rows in cases.items():
        page = _replaced(page, peer, "\n".join(_table(peer, rows, record["peers"][peer])))
    return page


def with_times(page: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return docs/comparison.md with the times of docs/benchmarks.json."""
    measured = {row["key"]: row["ratios"] for row in rows if row["key"].startswith("peers/")}
    spans: list[str] = []
    faster: list[str] = []
    for peer in _PEERS:
        ratios = {key: one[peer][1] for key, one in measured.items() if peer in one}
        low, high = min(ratios.values()), max(ratios.values())
        spans.append(f"{peer} {low:.1f} to {high:.1f}")
        faster += [f"{peer} on {_case(key)} ({ratio:.2f})" for key, ratio in ratios.items()
                   if ratio < 1]  # fmt: skip
    cold = next(row["ratios"] for row in rows if row["key"].startswith("cold/"))
    text = (
        f"Measured for {len(measured)} pairs of a model and a number of images, on two CPU cores. "
        f"Time as a multiple of that of graftcam's explained run: {', '.join(spans)}. "
        + (f"**Faster than graftcam: {'; '.join(faster)}.** " if faster else "")
        + "From the start of a process to its first map graftcam takes "
        f"{cold['time'][1]:.2f} of the time of pytorch-grad-cam, and {cold['memory'][1]:.2f} of "
        "its memory."
    )
    return _replaced(page, "times", text)


def _case(key: str) -> str:
    _, model, _, images = key.split("/")
    return f"{model} with {images} {'image' if images == '1' else 'images'}"


def _setting(record: Mapping[str, Any]) -> str:
    peers = ", ".join(f"{name} {one['version']}" for name, one in record["peers"].items())
    others = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    best, second = record["classes"]
    return (
        f"Explained class: {best['id']}, {best['label']} (score {best['score']:.2f}). Second-best: "
        f"{second['id']}, {second['label']} ({second['score']:.2f}). Versions: {peers}; {others}."
    )


def _table(peer: str, cases: Sequence[Case], found: Mapping[str, Any]) -> list[str]:
    rows: list[list[str]] = []
    by_call = {row["call"]: row for row in found["rows"]}
    for case in cases:
        row = by_call.get(case.call)
        figures = (
            ["not measured", ""] if row is None else [_share(row), f"{row['correlation']:.4f}"]
        )
        rows.append([f"`{case.call}`", f"`{case.python}`", f"`{case.shell}`", *figures, case.why])
    return table((peer, *_HEADS), rows)


def _share(row: Mapping[str, Any]) -> str:
    value = row["difference"]
    return f"{value:.0e}" if value < 0.01 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _replaced(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name} -->\n", "<!-- end -->"
    head, rest = page.split(begin, 1)
    return f"{head}{begin}\n{text}\n\n{end}{rest.split(end, 1)[1]}"
