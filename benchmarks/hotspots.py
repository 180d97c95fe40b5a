"""Where the time of an explained run goes, by ONNX Runtime's own profile."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .subjects import SHAPE, Prepared
from .truth import pictures

_RUNS = 5
# Names that graftcam gives to the nodes that it adds.
_ADDED = "grad/"


def hotspots(prepared: Prepared, folder: Path, threads: int) -> dict[str, Any]:
    """Milliseconds a run of the model's own nodes, plain and explained, and of the added ones.

    Fusions keep the name of one of their nodes, so a node counts as added only if that one was.
    """
    plain = _profile(prepared.plain, {}, folder, threads)
    index = {prepared.class_index: np.array([[0]], np.int64)}
    explained = _profile(prepared.artifact, index, folder, threads)
    added = {name: time for name, time in explained.items() if name.startswith(_ADDED)}
    return {
        "plain_ms": round(sum(plain.values()), 3),
        "own_ms": round(sum(explained.values()) - sum(added.values()), 3),
        "added_ms": round(sum(added.values()), 3),
        "added_nodes": len(added),
        "top": {name: round(time, 3) for name, time in Counter(added).most_common(5)},
    }


def _profile(path: Path, feeds: dict[str, Any], folder: Path, threads: int) -> dict[str, float]:
    """Milliseconds a run by node, at N = 1."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / path.stem)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: pictures(SHAPE, 1, 0).numpy(), **feeds}
    for _ in range(1 + _RUNS):
        session.run(None, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            times.setdefault(name, []).append(event["dur"] / 1000)
    # The first run allocates; medians, since the machine may be busy.
    return {name: float(np.median(values[1:])) for name, values in times.items() if values[1:]}
