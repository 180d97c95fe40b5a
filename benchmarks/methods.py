"""``python -m benchmarks.methods`` compares all methods on the demo's digits.

It plays the pointing game (Zhang et al., 2016) with each method on test canvases, times it relative
to Grad-CAM, and draws all methods for one image. It writes ``docs/methods.json``,
``docs/images/methods.jpg`` and the table of ``docs/methods.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from graftcam.demo.bundled import WEIGHTS, images
from graftcam.demo.data import LABELS, SIZE, Canvases, draw, load_glyphs
from graftcam.demo.model import build
from graftcam.demo.run import TRANSFORM, overview, points_at
from graftcam.exporter import Score, export
from graftcam.runtime import Explainer
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.output.render import panel, write_image

_ROOT = Path(__file__).resolve().parent.parent
_SEED = 7  # a set of canvases of its own
# Methods that run the model hundreds of times are played on fewer canvases.
_MANY_RUNS = {"rise": {"masks": 500}, "scorecam": {}}
_COLUMNS = 4


@dataclass(frozen=True)
class Row:
    """One method's result.

    Attributes:
        method: Its id.
        hits: Number of maxima on the requested digit.
        digits: Number of requested digits.
        cost: Time of one explanation, relative to Grad-CAM.
    """

    method: str
    hits: int
    digits: int
    cost: float


def main() -> None:
    """Play, time and draw; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=_ROOT / "docs")
    parser.add_argument("--canvases", type=int, default=200)
    options = parser.parse_args()
    work = _ROOT / ".bench"
    work.mkdir(exist_ok=True)
    explainer = Explainer(_artifact(work / "digits-all.onnx"))
    canvases = draw(load_glyphs("heldout"), options.canvases, _SEED)
    rows: list[Row] = []
    for method in METHODS:
        few = max(10, options.canvases // 8) if method in _MANY_RUNS else options.canvases
        rows.append(_play(explainer, method, canvases, few))
        print(rows[-1], flush=True)
    base = next(row.cost for row in rows if row.method == "gradcam")
    rows = [Row(row.method, row.hits, row.digits, row.cost / base) for row in rows]
    path = options.docs / "methods.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    page = options.docs / "methods.md"
    page.write_text(with_table(page.read_text("utf-8"), rows), "utf-8")
    write_image(
        options.docs / "images" / "methods.jpg", _drawn(explainer, [r.method for r in rows])
    )


def with_table(page: str, rows: Sequence[Row]) -> str:
    """Return the page with the text between its two marks replaced by the table."""
    begin, end = "<!-- pointing game -->\n", "<!-- end -->"
    lines = ["| method | maximum on the digit | time, Grad-CAM = 1 |", "|---|---|---|"]
    lines += [
        f"| `{row.method}` | {row.hits / row.digits:.1%} of {row.digits} | {row.cost:.1f} |"
        for row in rows
    ]
    head, rest = page.split(begin, 1)
    return head + begin + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end, 1)[1]


def _artifact(path: Path) -> Path:
    """Export the demo model with everything that any method needs."""
    model = build()
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    example = (torch.zeros(1, 3, SIZE, SIZE),)
    export(
        model, path, example, labels=LABELS, preprocess=TRANSFORM,
        score=Score(activation="sigmoid"), extras=["input_gradients", "guided", "head"],
    )  # fmt: skip
    return path


def _play(explainer: Explainer, method: str, canvases: Canvases, count: int) -> Row:
    hits = digits = 0
    seconds: list[float] = []
    for image, boxes in zip(canvases.images[:count], canvases.boxes, strict=False):
        since = time.perf_counter()
        found = _explained(explainer, image, [box.label for box in boxes], method)
        seconds.append((time.perf_counter() - since) / len(boxes))
        hits += sum(points_at(heat, box) for heat, box in zip(found.heatmaps, boxes, strict=True))
        digits += len(boxes)
    return Row(method, hits, digits, sorted(seconds)[len(seconds) // 2])


def _explained(explainer: Explainer, image: Any, classes: Sequence[int], method: str) -> Any:
    return explainer.explain(image, classes, method=method, options=_MANY_RUNS.get(method, {}))


def _drawn(explainer: Explainer, methods: Sequence[str]) -> Any:
    """Draw the first bundled image's first digit, by every method."""
    shown = images()[0]
    labels = [box.label for box in shown.boxes]
    found = [_explained(explainer, shown.path, labels, method) for method in methods]
    overlays = [found[0].image, *(one.draw() for one in found)]
    titles = [f"where is {found[0].labels[0]}?", *methods]
    rows = range(0, len(overlays), _COLUMNS)
    return overview(
        [panel(overlays[i : i + _COLUMNS], titles[i : i + _COLUMNS], height=180) for i in rows]
    )


if __name__ == "__main__":
    main()
