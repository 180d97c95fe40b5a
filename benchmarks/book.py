"""A `Book` stores the results row by row, so that a long bench can be split and resumed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
FORMAT = 2
QUIET = 0.10  # share of all cores that others use; above it times are unreliable


class MixError(Exception):
    """Results of two versions, systems or thread counts would be mixed in one table."""


@dataclass
class Book:
    """Rows by key, in one JSON file that is written after each.

    Attributes:
        path: The file.
        machine: The setting that all rows share (`machine.describe`), except that a row can name
            another processor in `cpu`. Ratios are computed within a row, so they can stand beside
            those of another processor; times cannot.
        code: Digest of the code that is measured now.
        load: Load average before the bench began.
        quick: Measure only a few rounds.
        rows: Rows by key, each with the digest of the code that was measured.
    """

    path: Path
    machine: dict[str, Any]
    code: str
    load: float
    quick: bool
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    _cpu: str = field(init=False)

    def __post_init__(self) -> None:
        self._cpu = self.machine["cpu"]

    def open(self, *, fresh: bool, whole: bool) -> str:
        """Read the rows of the file, if they were measured in the same setting.

        Rows of another processor stay, and new ones name theirs.

        Args:
            fresh: Ignore them.
            whole: Everything will be measured, so a file of another setting may be replaced.

        Returns:
            What was done with the file, as text.

        Raises:
            MixError: Only a part is to be measured, and the file's rows are of another setting.
        """
        earlier = read(self.path)
        if fresh or earlier is None:
            return "starting from the beginning"
        differing = differences(
            earlier["machine"], self.machine | {"cpu": earlier["machine"]["cpu"]}
        )
        if differing and not whole:
            raise MixError(
                f"{self.path} was measured in another setting: {'; '.join(differing)}. Rows of two "
                "settings must not be mixed: measure everything again with --fresh, or write to "
                "another folder with --docs"
            )
        if differing:
            return f"starting again, since the setting differs: {'; '.join(differing)}"
        self.rows = {row["key"]: row for row in earlier["rows"]}
        self.machine = earlier["machine"]
        return f"continuing with {len(self.rows)} rows in {self.path}"

    def current(self, key: str) -> bool:
        """Whether a row was measured with this code and at least the requested rounds."""
        row = self.rows.get(key)
        return row is not None and row["code"] == self.code and (self.quick or not row["quick"])

    def add(self, key: str, row: Row, others: float) -> None:
        """Store a row, with the load of the machine; the file is complete at any time."""
        stamp: Row = {"code": self.code, "quick": self.quick, "load": self.load, "others": others}
        if self._cpu != self.machine["cpu"]:
            stamp["cpu"] = self._cpu
        self.rows[key] = {"key": key, **row, **stamp}
        # One row per line makes the differences of a later run readable.
        rows = ",\n".join(json.dumps(row) for row in self.rows.values())
        head = json.dumps({"format": FORMAT, "machine": self.machine})[:-1]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".tmp")
        beside.write_text(f'{head}, "rows": [\n{rows}\n]}}\n')
        beside.replace(self.path)


def preliminary(rows: Sequence[Row], code: str) -> str:
    """Say what makes the figures of rows preliminary; empty if nothing does.

    Args:
        rows: What a page shows.
        code: Digest of the present code.
    """
    quick = sum(row["quick"] for row in rows)
    noisy = sum(row["others"] > QUIET for row in rows)
    stale = sum(row["code"] != code for row in rows)
    reasons = [f"{quick} of {len(rows)} rows have few rounds"] if quick else []
    reasons += [f"{noisy} were disturbed (others used more than {QUIET:.0%})"] if noisy else []
    reasons += [f"{stale} (†) were measured with earlier code"] if stale else []
    return f"> Preliminary: {', '.join(reasons)}." if reasons else ""


def mark(row: Row, code: str) -> str:
    """Return the signs behind a row's name: earlier code, another processor.

    Args:
        row: A row of a book.
        code: Digest of the present code.
    """
    return " †" * (row["code"] != code) + " ‡" * ("cpu" in row)


def other_processors(rows: Sequence[Row]) -> str:
    """Say which rows were measured on other processors than the file's; empty if none was."""
    counts = Counter(row["cpu"] for row in rows if "cpu" in row)
    counted = "; ".join(f"{count} on {cpu}" for cpu, count in counts.items())
    return f"Rows marked ‡ were measured on another processor: {counted}." if counts else ""


def read(path: Path) -> dict[str, Any] | None:
    """Read a results file; None if there is none of this format."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("format") == FORMAT else None


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the differences between two settings, as text."""
    old, new = ({**setting, **setting["versions"], "versions": ""} for setting in (before, now))
    return [
        f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
