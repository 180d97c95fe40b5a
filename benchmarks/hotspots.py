"""`hotspots` lists the times of an explained run by ONNX Runtime's own profile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnxruntime

from graftcam.runtime.tools.bench.profile import Profile, read_profile, start_profile
from graftcam.runtime.tools.bench.timing import calm

from .truth import Array

_RUNS = 8  # the first allocates and does not count
_TOP = 6
_NOTABLE = 0.02  # of the plain run: an operator's own nodes that lose more are named


def hotspots(
    plain: Path, artifact: Path, pixels: Array, asked: dict[str, Array], threads: int
) -> dict[str, Any]:
    """Milliseconds a run of the model's own nodes, plain and explained, and of the added ones.

    What ONNX Runtime puts in between (reordering for its blocked layout) counts as the model's:
    the plain run has it as well.

    Args:
        plain: The file of `torch.onnx.export`.
        artifact: The file of graftcam.
        pixels: Input of the plain file.
        asked: Inputs of the artifact.
        threads: Threads within one operator.
    """
    sessions = [_profiled(path, threads) for path in (plain, artifact)]
    for _ in range(_RUNS):
        # In turn: what slows the machine for a while slows both.
        sessions[0].run(None, {sessions[0].get_inputs()[0].name: pixels})
        sessions[1].run(None, asked)
    base, explained = (_read(session) for session in sessions)
    before, after = _by_operator(base), _by_operator(explained)
    total, slower = sum(before.values()), Counter({n: after[n] - before[n] for n in after})
    added = explained.of("added")
    return {
        "plain_ms": round(total, 3),
        "own_ms": round(sum(after.values()), 3),
        "added_ms": round(sum(node.ms for node in added), 3),
        "added_nodes": len(added),
        "operators": {
            f"{count} {name}": round(ms, 3)
            for name, count, ms in explained.operators("added")[:_TOP]
        },
        "top": {f"{node.name} ({node.operator})": round(node.ms, 3) for node in added[:_TOP]},
        "slower": {n: round(ms, 3) for n, ms in slower.most_common() if ms > _NOTABLE * total},
    }


def _by_operator(profile: Profile) -> Counter[str]:
    """Milliseconds of all nodes that are not ours."""
    found: Counter[str] = Counter()
    for owner in ("model", "moves"):
        for name, _, ms in profile.operators(owner):
            found[name] += ms
    return found


def _profiled(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    calm(options)
    start_profile(options, path.with_suffix(""))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _read(session: Any) -> Profile:
    path = Path(session.end_profiling())
    try:
        return read_profile(path)
    finally:
        path.unlink()
