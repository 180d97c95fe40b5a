"""These functions evaluate methods where the truth is known: digits in clutter, and shapes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from graftcam.demo.data import LABELS as DIGITS
from graftcam.demo.data import draw as draw_digits
from graftcam.demo.data import load_glyphs
from graftcam.demo.run import export_digits
from graftcam.exporter import export
from graftcam.runtime import evaluate
from graftcam.runtime.methods.table import ATTENTION_METHODS, METHODS
from graftcam.runtime.spec import Preprocess

from ..script import say
from .network import Network, Places, accuracy, train
from .shapes import LABELS, NOISES, SCENARIOS, SIZE, draw

# The networks are convolutional; Finer-CAM needs two classes of one run.
ALL = [name for name in METHODS if name not in (*ATTENTION_METHODS, "finercam")]
_EXTRAS = ("guided", "fullgrad", "head")
_OPTIONS = {"masks": 250, "channels": 32}  # of RISE and Score-CAM, which run the model so often
_TUNING = {"steps": 16}
_SEED = 7


def digits(count: int) -> dict[str, Any]:
    """Score all methods on the demo's digits: each digit of a canvas is a class with a box."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        canvases = draw_digits(load_glyphs("heldout"), count, _SEED)
        export_digits(folder / "digits.onnx", extras=_EXTRAS, verify="off")
        (folder / "canvases").mkdir()
        drawn: list[dict[str, Any]] = []
        for number, (image, boxes) in enumerate(zip(canvases.images, canvases.boxes, strict=True)):
            cv2.imwrite(str(folder / "canvases" / f"{number:03}.png"), image[:, :, ::-1])
            drawn += [
                {"image_id": number, "category_id": box.label, "bbox": [box.x, box.y, box.w, box.h]}
                for box in boxes
            ]
        data = {
            "images": [{"id": n, "file_name": f"{n:03}.png", "width": 96, "height": 96}
                       for n in range(count)],
            "categories": [{"id": n, "name": label} for n, label in enumerate(DIGITS)],
            "annotations": drawn,
        }  # fmt: skip
        (folder / "boxes.json").write_text(json.dumps(data))
        found = evaluate(
            folder / "digits.onnx", folder / "canvases", methods=ALL, truth=folder / "boxes.json",
            measures=("insertion", "deletion", "average-drop", "infidelity", "class-sensitivity",
                      "pointing", "energy", "iou"),
            options=_OPTIONS, tuning=_TUNING, progress=_progress("digits"), provider="cpu",
        )  # fmt: skip
        return {"photographs": count, **_record(found)}


def shapes(count: int, scenarios: Sequence[str] = SCENARIOS) -> list[dict[str, Any]]:
    """Score all methods on shapes of each scenario and noise, by networks trained for it."""
    records: list[dict[str, Any]] = []
    for scenario in scenarios:
        for noise in NOISES:
            say(f"shapes: {scenario}, {noise}")
            kind = Network if scenario == "translations" else Places
            model = train(kind, draw(scenario, noise, 3000, 1), 8)
            right = accuracy(model, draw(scenario, noise, 1000, 2))
            say(f"  {right:.1%} right")
            with tempfile.TemporaryDirectory() as name:
                found = _on_shapes(model, scenario, noise, count, Path(name))
            records.append({"scenario": scenario, "noise": noise, "accuracy": right,
                            "photographs": count, **_record(found)})  # fmt: skip
    return records


def _on_shapes(model: Network, scenario: str, noise: str, count: int, folder: Path) -> Any:
    some = draw(scenario, noise, count, 3)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number, (image, mask) in enumerate(zip(some.images, some.masks, strict=True)):
        cv2.imwrite(str(folder / "images" / f"{number:03}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{number:03}.png"), mask.astype(np.uint8) * 255)
    transform = Preprocess(
        size=(SIZE, SIZE), resize=None, resize_mode="exact", interpolation="bilinear",
        mean=(0.5,) * 3, std=(0.25,) * 3,
    )  # fmt: skip
    export(
        model, folder / "shapes.onnx", (torch.zeros(1, 3, SIZE, SIZE),), layers="features",
        labels=LABELS, preprocess=transform, extras=_EXTRAS, verify="off",
    )  # fmt: skip
    # CAM is for a pool and a linear layer; the other networks know places.
    methods = [name for name in ALL if name != "cam" or scenario == "translations"]
    return evaluate(
        folder / "shapes.onnx", folder / "images", methods=methods, truth=folder / "masks",
        measures=("insertion", "deletion", "pointing", "weighting", "rank"),
        options=_OPTIONS, tuning=_TUNING, progress=_progress("  scored"), provider="cpu",
    )  # fmt: skip


def _record(found: Any) -> dict[str, Any]:
    """What the tables need of an evaluation: means, ends and what is not beaten, by method."""
    summary = found.summary
    assert not summary.failed, next(row["error"] for row in found.rows if row["error"])
    return {
        "scores": {
            measure: {
                one.method: {
                    "mean": _short(one.mean), "low": _short(one.low), "high": _short(one.high),
                    "below": one.below,
                }
                for one in several
            }
            for measure, several in summary.standings.items()
        },
        "empty": {name: share for name, share in summary.empty.items() if share},
    }  # fmt: skip


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _progress(what: str) -> Any:
    def show(done: int, total: int) -> None:
        if done % 20 < 4 or done == total:
            say(f"{what} {done}/{total}")

    return show
