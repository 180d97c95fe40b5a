"""`deployed` writes the page's section on deployment, from other results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def deployed(folder: Path) -> list[str]:
    """Return the lines of the section; none if nothing was measured."""
    soak, ray = _read(folder / "soak.json"), _read(folder / "ray.json")
    lines: list[str] = []
    if soak:
        lines.append(
            f"- `python -m benchmarks.soak`: {soak['explained']} explanations with the demo's "
            f"model in {soak['seconds']:.0f} s, with overlays, and {soak['failed']} broken images: "
            f"{soak['early_mb']} MB of resident memory early, {soak['late_mb']} MB late, "
            f"{soak['peak_mb']} MB at most."
        )
    if ray:
        paces = ", ".join(f"{name} {pace:.0f}" for name, pace in ray.items())
        lines.append(
            "- `python -m benchmarks.ray_actors`: images per second of a folder's job, with the "
            f"demo's model and one thread for each session: {paces}."
        )
    return ["", "## Deployed", "", *lines] if lines else []


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
