"""Where the time of an explained run goes, by ONNX Runtime's own profile."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .truth import Array

_RUNS = 7
_TOP = 6
_NOTABLE = 0.02  # of the plain run: an operator's own nodes that lose more are named
# Names that graftcam gives to the nodes that it adds.
_ADDED = "grad/"


def hotspots(
    plain: Path, artifact: Path, pixels: Array, asked: dict[str, Array], threads: int
) -> dict[str, Any]:
    """Milliseconds a run of the model's own nodes, plain and explained, and of the added ones.

    Fusions keep the name of one of their nodes, so a node counts as added only if that one was.

    Args:
        plain: The file of `torch.onnx.export`.
        artifact: The file of graftcam.
        pixels: Input of the plain file.
        asked: Inputs of the artifact.
        threads: Threads within one operator.
    """
    runs = (_Profiled(plain, threads), _Profiled(artifact, threads))
    for _ in range(1 + _RUNS):
        # In turn: what slows the machine for a while slows both.
        runs[0].session.run(None, {runs[0].session.get_inputs()[0].name: pixels})
        runs[1].session.run(None, asked)
    base, explained = (run.read() for run in runs)
    added = {name: ms for name, ms in explained.items() if name.startswith(_ADDED)}
    own = {name: ms for name, ms in explained.items() if name not in added}
    operators = runs[0].operators | runs[1].operators
    before, after = _by_operator(base, operators), _by_operator(own, operators)
    slower = {name: round(after[name] - before[name], 3) for name in after}
    total = sum(base.values())
    return {
        "plain_ms": round(total, 3),
        "own_ms": round(sum(own.values()), 3),
        "added_ms": round(sum(added.values()), 3),
        "added_nodes": len(added),
        "top": {
            f"{name} ({operators[name]})": round(ms, 3)
            for name, ms in Counter(added).most_common(_TOP)
        },
        "slower": {n: ms for n, ms in Counter(slower).most_common() if ms > _NOTABLE * total},
    }


def _by_operator(times: dict[str, float], operators: dict[str, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, ms in times.items():
        found[operators[name]] += ms
    return found


@dataclass
class _Profiled:
    """A session that keeps a profile.

    Attributes:
        path: The model's file.
        threads: Threads within one operator.
        operators: Operator of each node, known after `read`.
    """

    path: Path
    threads: int
    operators: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_profiling = True
        options.profile_file_prefix = str(self.path.with_suffix(""))
        self.session = onnxruntime.InferenceSession(
            self.path, options, providers=["CPUExecutionProvider"]
        )

    def read(self) -> dict[str, float]:
        """Milliseconds a run by node."""
        written = Path(self.session.end_profiling())
        events = json.loads(written.read_text())
        written.unlink()
        times: dict[str, list[float]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                name = event["name"].removesuffix("_kernel_time")
                times.setdefault(name, []).append(event["dur"] / 1000)
                self.operators[name] = event["args"]["op_name"]
        # The first run allocates; medians, since the machine may be busy.
        return {name: float(np.median(values[1:])) for name, values in times.items() if values[1:]}
