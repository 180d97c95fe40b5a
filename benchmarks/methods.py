"""``python -m benchmarks.methods`` compares all methods on the demo's digits.

It plays the pointing game (Zhang et al., 2016) with each method on test canvases, and times it
relative to Grad-CAM. It writes ``docs/methods.json`` and the table of ``docs/methods.md``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from graftcam.demo.data import Canvases, draw, load_glyphs
from graftcam.demo.run import export_digits, hits
from graftcam.runtime import Explainer
from graftcam.runtime.methods.table import ATTENTION_METHODS, METHODS

from .script import DOCS, ROOT, options, table, write_json

_SEED = 7  # a set of canvases of its own
# Methods that run the model hundreds of times are played on fewer canvases.
_MANY_RUNS = {"rise": {"masks": 500}, "scorecam": {}}


def main() -> None:
    """Play and time; see the module."""
    asked = options(
        __doc__, docs=(DOCS, "folder of the page"), canvases=(200, "how many to play on")
    )
    artifact = ROOT / ".bench" / "digits-all.onnx"
    artifact.parent.mkdir(exist_ok=True)
    export_digits(artifact, extras=["guided", "fullgrad", "head"])
    explainer = Explainer(artifact)
    canvases = draw(load_glyphs("heldout"), asked.canvases, _SEED)
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        if method in ATTENTION_METHODS:  # the digits' network is convolutional
            continue
        few = max(10, asked.canvases // 8) if method in _MANY_RUNS else asked.canvases
        rows.append(_play(explainer, method, canvases, few))
        print(rows[-1], flush=True)
    base = next(row["cost"] for row in rows if row["method"] == "gradcam")
    rows = [row | {"cost": row["cost"] / base} for row in rows]
    write_json(asked.docs / "methods.json", rows)
    page = asked.docs / "methods.md"
    page.write_text(with_table(page.read_text("utf-8"), rows), "utf-8")


def with_table(page: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page with the text between its two marks replaced by the table."""
    begin, end = "<!-- pointing game -->\n", "<!-- end -->"
    cells = [
        [f"`{r['method']}`", f"{r['hits'] / r['digits']:.1%} of {r['digits']}", f"{r['cost']:.1f}"]
        for r in rows
    ]
    lines = table(["method", "maximum on the digit", "time, Grad-CAM = 1"], cells)
    head, rest = page.split(begin, 1)
    return head + begin + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end, 1)[1]


def _play(explainer: Explainer, method: str, canvases: Canvases, count: int) -> dict[str, Any]:
    """Maxima on the requested digits, and the seconds of one explanation."""
    landed: list[bool] = []
    seconds: list[float] = []
    for image, boxes in zip(canvases.images[:count], canvases.boxes, strict=False):
        since = time.perf_counter()
        found = _explained(explainer, image, [box.label for box in boxes], method)
        seconds.append((time.perf_counter() - since) / len(boxes))
        landed += hits(found, boxes)
    cost = statistics.median_high(seconds)
    return {"method": method, "hits": sum(landed), "digits": len(landed), "cost": cost}


def _explained(explainer: Explainer, image: Any, classes: Sequence[int], method: str) -> Any:
    return explainer.explain(image, classes, method=method, options=_MANY_RUNS.get(method, {}))


if __name__ == "__main__":
    main()
