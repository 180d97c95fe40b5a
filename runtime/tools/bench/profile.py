"""A `Profile` holds the time of each node of a run, measured by ONNX Runtime."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ADDED = "grad/"
RUNS, _SKIPPED = 8, 1  # the first run allocates
# Nodes that ONNX Runtime inserts, for its blocked layout and between devices.
_MOVES = frozenset({"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"})
_SUFFIX = "_kernel_time"

Owner = Literal["model", "added", "moves"]


@dataclass(frozen=True)
class NodeTime:
    """A node of the graph as ONNX Runtime optimised it.

    Attributes:
        name: Its name; a fused node has the name of one of its parts.
        operator: Its operator.
        ms: Milliseconds in a run, without the nodes inside it.
        provider: The execution provider that ran it.
    """

    name: str
    operator: str
    ms: float
    provider: str

    @property
    def owner(self) -> Owner:
        """Origin: the model, the explanation, or ONNX Runtime (copies between layouts)."""
        if self.operator in _MOVES:
            return "moves"
        return "added" if self.name.startswith(ADDED) else "model"


@dataclass(frozen=True)
class Profile:
    """The times of a run.

    Attributes:
        nodes: All nodes, in the order in which they run.
    """

    nodes: list[NodeTime]

    def of(self, owner: Owner) -> list[NodeTime]:
        """Return the nodes of ``owner``, the most expensive first."""
        return sorted((n for n in self.nodes if n.owner == owner), key=lambda node: -node.ms)

    def operators(self, owner: Owner) -> list[tuple[str, int, float]]:
        """Return operator, number of nodes and milliseconds, the most expensive first."""
        grouped: dict[str, list[float]] = defaultdict(list)
        for node in self.of(owner):
            grouped[node.operator].append(node.ms)
        rows = [(operator, len(times), sum(times)) for operator, times in grouped.items()]
        return sorted(rows, key=lambda row: -row[2])

    def to_dict(self) -> dict[str, Any]:
        """Return sums by owner, added operators and added nodes, as plain JSON types."""
        owners: tuple[Owner, ...] = ("model", "added", "moves")
        sums = {
            owner: {"nodes": len(self.of(owner)), "ms": sum(node.ms for node in self.of(owner))}
            for owner in owners
        }
        operators = [
            {"operator": operator, "nodes": count, "ms": ms}
            for operator, count, ms in self.operators("added")
        ]
        nodes = [
            {"name": node.name, "operator": node.operator, "ms": node.ms, "provider": node.provider}
            for node in self.of("added")
        ]
        return {**sums, "added_operators": operators, "added_nodes": nodes}


def start_profile(options: Any, prefix: Path) -> None:
    """Enable the profile in ``SessionOptions``; its file's name begins with ``prefix``."""
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)


def read_profile(path: Path, skipped: int = _SKIPPED) -> Profile:
    """Read a profile that ONNX Runtime wrote.

    A node's time is the mean of the middle half of the runs. This averages over the profile's
    resolution of one microsecond and leaves out disturbed runs.

    Args:
        path: The file, JSON.
        skipped: Number of first runs to leave out.
    """
    events = json.loads(path.read_text(encoding="utf-8"))
    runs = sorted(event["ts"] for event in events if event["name"] == "model_run")
    nodes = [
        event for event in events
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX)
    ]  # fmt: skip
    totals: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0] * len(runs))
    for event, own in _own_times(nodes):
        about = event["args"]
        name = event["name"].removesuffix(_SUFFIX)
        key = (name, about["op_name"], about.get("provider", ""))
        # A node inside a loop has several events in a run.
        totals[key][bisect_right(runs, event["ts"]) - 1] += own / 1000
    return Profile([
        NodeTime(name, operator, _midmean(times[skipped:]), provider)
        for (name, operator, provider), times in totals.items()
    ])  # fmt: skip


def _own_times(events: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
    """Return each event with its microseconds, without the events inside it (branches, loops)."""
    found: list[tuple[dict[str, Any], float]] = []
    around: list[int] = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        while around and _end(found[around[-1]][0]) <= event["ts"]:
            around.pop()
        if around:
            outer, own = found[around[-1]]
            found[around[-1]] = outer, own - event["dur"]
        found.append((event, float(event["dur"])))
        around.append(len(found) - 1)
    return found


def _end(event: dict[str, Any]) -> int:
    return event["ts"] + event["dur"]


def _midmean(values: list[float]) -> float:
    quarter = len(values) // 4
    middle = sorted(values)[quarter : len(values) - quarter]
    return sum(middle) / len(middle)
