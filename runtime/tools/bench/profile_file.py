"""`read_profile` reads the file in which ONNX Runtime writes the times of a run's nodes."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .profile import Call, NodeTime, Profile, Tensor

RUNS, _SKIPPED = 8, 1  # the first run allocates
_SUFFIX = "_kernel_time"
_HOLDERS = frozenset({"If", "Loop", "Scan"})


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
    totals: dict[_Key, list[float]] = defaultdict(lambda: [0.0] * len(runs))
    calls: dict[_Key, list[Call | None]] = defaultdict(list)
    places: dict[_Key, int] = {}
    place = -1
    for event, own, held in _own_times(nodes):
        run = bisect_right(runs, event["ts"]) - 1
        about = event["args"]
        name, index = event["name"].removesuffix(_SUFFIX), about.get("node_index")
        key = (held, index, name, about["op_name"], about.get("provider", ""))
        # A node inside a loop has several events in a run.
        totals[key][run] += own / 1000
        if run == len(runs) - 1:
            place += not held
            places[key] = place
            calls[key].append(_call(about))
    return Profile([
        NodeTime(
            key[2], key[3], _midmean(times[skipped:]), key[4], places.get(key), key[0],
            None if None in calls[key] else [call for call in calls[key] if call],
        )
        for key, times in totals.items()
    ])  # fmt: skip


_Key = tuple[bool, str | None, str, str, str]


def _call(about: dict[str, Any]) -> Call | None:
    """Return the shapes of an event; None if this version of ONNX Runtime records none."""
    ports = [about.get(f"{side}_type_shape") for side in ("input", "output")]
    if None in ports:
        return None
    inputs, outputs = (
        [Tensor(dtype, tuple(shape)) for one in port for dtype, shape in one.items()]
        for port in ports if port is not None
    )  # fmt: skip
    return Call(inputs, outputs)


def _own_times(events: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], float, bool]]:
    """Return each event with its microseconds and whether another node holds it.

    The time of a branch or loop is without that of the events inside it. ONNX Runtime writes an
    event when it ends, so that a holder comes after what it holds.

    Returns:
        The events in the order in which they begin.
    """
    found: list[tuple[dict[str, Any], float, bool]] = []
    around: list[int] = []
    for event in reversed(events):
        while around and not _inside(event, found[around[-1]][0]):
            around.pop()
        if around:
            outer, own, held = found[around[-1]]
            found[around[-1]] = outer, own - event["dur"], held
        found.append((event, float(event["dur"]), bool(around)))
        if event["args"]["op_name"] in _HOLDERS:
            around.append(len(found) - 1)
    found.reverse()
    # A holder comes before what begins in the same microsecond within it.
    return sorted(found, key=lambda row: (row[0]["ts"], row[2]))


def _inside(event: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Whether an event that ends before ``holder`` begins after it.

    One of no length at the holder's first microsecond has ended before.
    """
    return event["ts"] > holder["ts"] or (event["ts"] == holder["ts"] and event["dur"] > 0)


def _midmean(values: list[float]) -> float:
    quarter = len(values) // 4
    middle = sorted(values)[quarter : len(values) - quarter]
    return sum(middle) / len(middle)
