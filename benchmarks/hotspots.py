"""`hotspots` lists the times of an explained run by ONNX Runtime's own profile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from graftcam.runtime.tools.bench.profile import Profile
from graftcam.runtime.tools.bench.profile_file import read_profile

from .session import open_session
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
    base, explained = (open_session(path, threads, profile=True) for path in (plain, artifact))
    for _ in range(_RUNS):
        # In turn: what slows the machine for a while slows both.
        base.run(None, {base.get_inputs()[0].name: pixels})
        explained.run(None, asked)
    before, _ = _own(base)
    after, profile = _own(explained)
    total, added = sum(before.values()), profile.of("added")
    slower = Counter({name: after[name] - before[name] for name in after})
    return {
        "plain_ms": round(total, 3),
        "own_ms": round(sum(after.values()), 3),
        "added_ms": round(sum(node.ms for node in added), 3),
        "added_nodes": len(added),
        "operators": {
            f"{count} {name}": round(ms, 3) for name, count, ms in profile.operators("added")[:_TOP]
        },
        "top": {f"{node.name} ({node.operator})": round(node.ms, 3) for node in added[:_TOP]},
        "slower": {n: round(ms, 3) for n, ms in slower.most_common() if ms > _NOTABLE * total},
    }


def _own(session: Any) -> tuple[Counter[str], Profile]:
    """Milliseconds by operator of all nodes that are not ours, and the whole profile."""
    path = Path(session.end_profiling())
    profile = read_profile(path)
    path.unlink()
    found: Counter[str] = Counter()
    for node in profile.nodes:
        if node.owner != "added":
            found[node.operator] += node.ms  # type: ignore[assignment]
    return found, profile
