"""`on_photographs` scores methods on ten photographs by a network that knows ImageNet."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from graftcam.demo.efficientnet import export_efficientnet
from graftcam.runtime import evaluate
from graftcam.runtime.tools.evaluate.report.plot import drawing

from ..script import say
from .photographs import ten

_METHODS = ("gradcam", "gradcam++", "layercam", "eigencam", "ablationcam", "reciprocam")


def on_photographs(images: Path) -> dict[str, Any]:
    """Score the methods, and draw their curves."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_efficientnet(folder / "model.onnx", extras=["head"], verify="off")
        paths = ten(folder / "photographs")
        found = evaluate(
            folder / "model.onnx", folder / "photographs", methods=_METHODS, measures=["all"],
            progress=lambda done, total: say(f"photographs {done}/{total}"), provider="cpu",
        )  # fmt: skip
        record = found.summary.to_dict()
        for curves in record["curves"].values():
            for old in list(curves):
                curves[old.partition(" at ")[0]] = curves.pop(old)
        for measure, curves in record["curves"].items():
            (images / f"evaluation-{measure}.svg").write_text(drawing(measure, curves), "utf-8")
        winner = found.pick()
        return {
            "photographs": len(paths), "standings": record["standings"], "pairs": record["pairs"],
            "pick": None if winner is None else str(winner),
        }  # fmt: skip
