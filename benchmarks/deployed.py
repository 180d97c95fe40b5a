"""The page's section on deployed artifacts, from what `soak` and `ray_actors` have left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def deployed(folder: Path) -> list[str]:
    """Lines of the section; none where nothing has been measured."""
    soak, ray = _read(folder / "soak.json"), _read(folder / "ray.json")
    lines: list[str] = []
    if soak:
        lines.append(
            f"- `python -m benchmarks.soak`: {soak['explained']} explanations by the demo's model "
            f"in {soak['seconds']:.0f} s, overlays drawn, {soak['failed']} broken pictures among "
            f"them: {soak['early_mb']} MB resident early, {soak['late_mb']} MB late, "
            f"{soak['peak_mb']} MB at most."
        )
    if ray:
        paces = ", ".join(f"{name} {pace:.0f}" for name, pace in ray.items())
        lines.append(
            "- `python -m benchmarks.ray_actors`, the demo's model, one thread a session: pictures "
            f"a second of a folder's job: {paces}."
        )
    return ["", "## Deployed", "", *lines] if lines else []


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
