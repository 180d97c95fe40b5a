"""`describe_cost` formats the costs as text for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ...plain_text import plain_lines
from .floor.text import describe_floor
from .measure import Cost, Row
from .profile import NodeTime, Owner, Profile
from .table import aligned

_TOP = 5
_BUSY = 0.5  # load before the start above which times are unreliable


def describe_cost(cost: Cost) -> str:
    """Format times and memory of each variant, then the profile of the added time."""
    shapes = ", ".join(f"{name} {shape}" for name, shape in cost.inputs.items())
    threads = f"threads {'by default' if cost.threads is None else cost.threads}"
    machine, of = cost.machine, f"of {cost.rows[0].name}"
    lines = [
        f"{cost.artifact.name}, layer {', '.join(cost.layers)}, {shapes}",
        f"{cost.provider}, {machine['cores']} cores, {threads}, ONNX Runtime "
        f"{machine['onnxruntime']}",
        "",
        *aligned([["", "ms", "", of, "", "peak MB", of], *(_cells(row) for row in cost.rows)]),
        "",
        *([f"plain: {cost.plain}"] if cost.plain else []),
        "K = 0: the artifact, used for prediction alone",
        f"medians (quartiles) of {cost.rounds} rounds in random order, ratios within a round; peak",
        "memory above that of a process that has only imported ONNX Runtime",
        "",
        *_profile(cost.rows[-1].name, cost.profile, cost.plain_profile),
        *(["", *describe_floor(cost.floor, cost.rows[-1].name).split("\n")] if cost.floor else []),
    ]
    notes = [f"note: {note}" for note in _notes(cost)]
    return plain_lines([*lines, *(["", *notes] if notes else [])])


def _cells(row: Row) -> list[str]:
    low, middle, high = (f"{ms:.1f}" if row.ms[1] >= 100 else f"{ms:.2f}" for ms in row.ms)
    ratio_low, ratio, ratio_high = (f"{ratio:.3f}" for ratio in row.of_base)
    return [
        row.name, middle, f"({low} to {high})", ratio, f"({ratio_low} to {ratio_high})",
        "-" if row.peak_bytes is None else f"{median(row.peak_bytes) / 1e6:.1f}",
        "-" if row.peak_of_base is None else f"{row.peak_of_base:.3f}",
    ]  # fmt: skip


def _profile(name: str, profile: Profile, plain: Profile | None) -> list[str]:
    whole = sum(node.ms for node in profile.nodes)
    labels: dict[Owner, str] = {
        "model": "the model's own", "added": "added", "moves": "copies between layouts"
    }  # fmt: skip
    rows = [["", "nodes", "ms", "share", *(["plain nodes", "plain ms"] if plain else [])]]
    for owner, label in labels.items():
        cells = _sums(profile.of(owner))
        share = float(cells[1]) / whole if whole else 0
        other = _sums(plain.of(owner)) if plain else []
        rows.append([label, *cells, f"{share:.1%}", *other])
    lines = [f"One run with {name}, by ONNX Runtime's profile:", *aligned(rows)]
    operators = [[op, str(count), f"{ms:.3f}"] for op, count, ms in profile.operators("added")]
    nodes = [[node.name, node.operator, f"{node.ms:.3f}"] for node in profile.of("added")]
    if operators:
        lines += ["", *aligned([["added operator", "nodes", "ms"], *operators[:_TOP]])]
        lines += ["", *aligned([["added node", "operator", "ms"], *nodes[:_TOP]])]
    return lines


def _sums(nodes: Sequence[NodeTime]) -> list[str]:
    return [str(len(nodes)), f"{sum(node.ms for node in nodes):.3f}"]


def _notes(cost: Cost) -> list[str]:
    notes: list[str] = []
    load = cost.machine["load"]
    if load is not None and load > _BUSY:
        notes.append(f"the load was {load} before the start: trust the ratios more than the times")
    if cost.provider != "CPUExecutionProvider":
        notes.append(
            "the profile has the times that the host waits, and the memory is the host's; times "
            "include the copies to the device and back"
        )
    if cost.rows[0].peak_bytes is None:
        notes.append("this system does not report the peak memory of a process")
    return notes
