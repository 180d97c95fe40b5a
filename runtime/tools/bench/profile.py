"""ONNX Runtime's own profile of a run: the time of each node, and whose node it is."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ADDED = "grad/"
_SKIPPED = 1  # the first run allocates
_RUNS = 7
# Nodes that ONNX Runtime puts in between, for its blocked layout and between devices.
_MOVES = frozenset({"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"})
_SUFFIX = "_kernel_time"

Owner = Literal["model", "added", "moves"]


@dataclass(frozen=True)
class NodeTime:
    """A node of the graph as ONNX Runtime optimised it.

    Attributes:
        name: Its name; a fusion has that of one of its nodes.
        operator: Its operator.
        ms: Milliseconds in a run, without those of the nodes inside it.
        provider: The execution provider that ran it.
    """

    name: str
    operator: str
    ms: float
    provider: str

    @property
    def owner(self) -> Owner:
        """Who wants it: the model, the explanation, or ONNX Runtime (copies between layouts)."""
        if self.operator in _MOVES:
            return "moves"
        return "added" if self.name.startswith(ADDED) else "model"


@dataclass(frozen=True)
class Profile:
    """Where the time of a run goes.

    Attributes:
        nodes: In the order in which they run.
    """

    nodes: list[NodeTime]

    def of(self, owner: Owner) -> list[NodeTime]:
        """The nodes of ``owner``, the most expensive first."""
        return sorted((n for n in self.nodes if n.owner == owner), key=lambda node: -node.ms)

    def operators(self, owner: Owner) -> list[tuple[str, int, float]]:
        """Operator, number of nodes and milliseconds, the most expensive first."""
        grouped: dict[str, list[float]] = defaultdict(list)
        for node in self.of(owner):
            grouped[node.operator].append(node.ms)
        rows = [(operator, len(times), sum(times)) for operator, times in grouped.items()]
        return sorted(rows, key=lambda row: -row[2])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types: sums by owner, added operators and nodes."""
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
    """Ask for a profile in ``SessionOptions``; its file's name begins with ``prefix``."""
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)


def profile(run: Callable[[], Any], end_profiling: Callable[[], str | Path]) -> Profile:
    """Run a few times and read the profile.

    Args:
        run: Runs a session that was opened with `start_profile`.
        end_profiling: The session's; returns the profile's file.
    """
    for _ in range(_SKIPPED + _RUNS):
        run()
    return read_profile(Path(end_profiling()))


def read_profile(path: Path, skipped: int = _SKIPPED) -> Profile:
    """Read a profile that ONNX Runtime wrote.

    A node's time is the mean of the middle half of the runs: it rests on several of the whole
    microseconds that the profile counts in, and not on a run that was disturbed.

    Args:
        path: The file, JSON.
        skipped: How many of the first runs to leave out.
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
        # Several times in a run: a node inside a loop.
        totals[key][bisect_right(runs, event["ts"]) - 1] += own / 1000
    return Profile([
        NodeTime(name, operator, _midmean(times[skipped:]), provider)
        for (name, operator, provider), times in totals.items()
    ])  # fmt: skip


def _own_times(events: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
    """Each event with its microseconds, less those of the events within it (branches, loops)."""
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
