"""`write_section` writes the section *Serving* of ``docs/benchmarks.md`` from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..script import shown, table

TITLE = "## Serving"
_LAST = "\n## Since the earlier run\n"
PACE, P99 = 1.15, 2.0  # the targets: an image's time, and the slowest percent by the median
_NAMES = {"digits": "digits, 96 x 96", "efficientnet-lite0": "EfficientNet-Lite0",
          "resnet50": "ResNet-50"}  # fmt: skip

_TEXT = """`python -m benchmarks.serve` (`make serve-bench`): `graftcam serve` with its default
settings and a client on the same machine ({cores} cores, {cpu}; {versions}), each in a process of
its own. The client sends the demo's photographs as JPEG files for one class and reads JSON.
**Bare** is a loop of ONNX Runtime on the same artifact, one image in a run, with all threads and
with tensors that are ready; **with reading** it decodes and prepares each photograph as well.
Loops and service run in turns; ratios are computed within a round. Figures are medians
(quartiles)."""


def section(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of the section; empty without results."""
    parts: Mapping[str, Any] = found.get("parts", {})
    if not parts:
        return []
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [TITLE, "", _TEXT.format(**{**machine, "versions": versions})]
    paces = [row for key, row in parts.items() if key.startswith("pace/")]
    lines += _paces(paces) if paces else []
    lines += _settings(parts["settings"]) if "settings" in parts else []
    facts = [_LINES[key](parts[key]) for key in _LINES if key in parts]
    return [*lines, "", *facts] if facts else lines


def write_section(found: Mapping[str, Any], page: Path) -> None:
    """Put the section in place of the one that the page has, or before the page's last one."""
    text = page.read_text() if page.exists() else f"# Benchmarks\n{_LAST}"
    own = f"\n{TITLE}\n"
    before, _, rest = text.partition(own if own in text else _LAST)
    after = rest.partition("\n## ")[1:] if own in text else (_LAST, rest)
    lines = "\n".join(section(found))
    page.write_text(f"{before.rstrip()}\n\n{lines}\n{''.join(after)}")


def _paces(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = [
        "model", "8 clients / bare", "/ with reading", "processor time / bare",
        "p99 / median, 8 clients", "batch", "bare, ms", "8 clients, ms", "1 client, ms",
    ]  # fmt: skip
    cells = [
        [
            _NAMES[row["model"]], shown(row["ratio"], 2), shown(row["full_ratio"], 2),
            shown(row["cpu_ratio"], 2), shown(row["eight_p99_ratio"], 2),
            shown(row["eight_batch"], 1), shown(row["bare_ms"], 1), shown(row["eight_ms"], 1),
            shown(row["one_ms"], 1),
        ]
        for row in rows
    ]  # fmt: skip
    lines = ["", *table(heads, cells), ""]
    lines.append(
        f"Targets: an image of 8 clients takes at most {PACE} of the bare loop's time, and the "
        f"slowest percent less than {P99:g} medians. {_verdict(rows)}"
    )
    shares = ", ".join(f"{row['others']:.0%} ({_NAMES[row['model']]})" for row in rows)
    return [*lines, "", f"Other processes used of all cores meanwhile: {shares}."]


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which models miss a target, and where the time of an image goes."""
    missed = [row for row in rows if row["ratio"][1] > PACE or row["eight_p99_ratio"][1] >= P99]
    if not missed:
        return "All models reach both."
    return " ".join([*map(_reason, missed), "The others reach both." * (len(missed) < len(rows))])


def _reason(row: Mapping[str, Any]) -> str:
    """Say by how much a model misses, and where the processor time of an image goes."""
    missed = [
        f"{row['ratio'][1]:.2f} of the bare loop's time" if row["ratio"][1] > PACE else "",
        f"a p99 of {row['eight_p99_ratio'][1]:.2f} medians" if _is_slow(row) else "",
    ]
    total, run, read = (row[f"{name}_cpu_ms"][1] for name in ("eight", "bare", "read"))
    return (
        f"{_NAMES[row['model']]} misses: {' and '.join(filter(None, missed))}. Of the "
        f"{total:.1f} ms of processor time that the service takes for an image, reading the "
        f"photograph is {read:.1f} ms; the bare run takes {run:.1f} ms. Other processes used "
        f"{row['others']:.0%} of the cores."
    )


def _is_slow(row: Mapping[str, Any]) -> bool:
    return row["eight_p99_ratio"][1] >= P99


def _settings(row: Mapping[str, Any]) -> list[str]:
    cells = [
        [f"`{name}`" if name.startswith("-") else name, shown(its["cpu_ms"], 1),
         shown(its["p99_ratio"], 2), shown(its["batch"], 1)]
        for name, its in row["settings"].items()
    ]  # fmt: skip
    heads = ["setting", "processor time of an image, ms", "p99 / median", "batch"]
    return ["", f"Settings, {_NAMES[row['model']]}, 8 clients:", "", *table(heads, cells)]


def _answers(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} answers {status}" for status, count in row["statuses"].items())


def _restart(row: Mapping[str, Any]) -> str:
    return (
        f"- Restarts under load: {row['restarts']} times a new process took the socket over and "
        f"the old one got SIGTERM (exit codes {row['codes']}): {_answers(row)}, "
        f"{row['lost']} requests lost, {row['again']} sent again on a new connection; the "
        f"slowest took {row['slowest_ms']:.0f} ms."
    )


def _flood(row: Mapping[str, Any]) -> str:
    return (
        f"- {row['count']} requests at the same time, each on a connection of its own: "
        f"{_answers(row)}, {row['lost']} lost, in {row['seconds']} s; {row['mb']} MB of "
        "memory afterwards."
    )


def _memory(row: Mapping[str, Any]) -> str:
    count = sum(row["statuses"].values())
    return (
        f"- Memory over {count} requests of 8 clients ({row['seconds']:.0f} s): "
        f"{row['early_mb']} MB early, {row['late_mb']} MB late, {row['peak_mb']} MB at most: "
        + ("flat." if row["flat"] else "it grew.")
    )


_LINES = {"restart": _restart, "flood": _flood, "memory": _memory}
