"""``python -m benchmarks.pictures`` draws the photographs of the documents.

It explains the demo's bundled photographs with EfficientNet-Lite0, and writes to ``docs/images``:

- ``photographs.jpg``: three classes of one photograph;
- ``methods.jpg``: one class by every method that the model allows;
- ``styles.jpg``: one class in each style.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from graftcam.demo.efficientnet import export_efficientnet
from graftcam.demo.explain_photographs import explain
from graftcam.demo.photographs import photographs
from graftcam.runtime import Explainer, Explanation
from graftcam.runtime.methods.table import ATTENTION_METHODS, METHODS
from graftcam.runtime.output.render import STYLES, panel, write_image

from .script import DOCS, ROOT, options, say

# ReLU6 has no guided rule, so that these three methods are not for this model.
_GUIDED = ("guided-backprop", "deconvnet", "guided-gradcam")
_COLUMNS = 5


def main() -> int:
    """Export, explain and draw; see the module."""
    folder: Path = options(__doc__, docs=(DOCS, "folder of the documents")).docs / "images"
    cache = ROOT / ".bench"
    cache.mkdir(exist_ok=True)
    artifact = cache / "photographs.onnx"
    # `make demo` verifies the model.
    export_efficientnet(artifact, extras=["input_gradients", "head"], verify="off")
    explainer = Explainer(artifact)
    cat, astronaut = photographs()[:2]
    write_image(folder / "photographs.jpg", explain(explainer, astronaut).panel(height=270))
    write_image(folder / "styles.jpg", _styles(explain(explainer, cat)))
    write_image(folder / "methods.jpg", _methods(explainer, explain(explainer, cat), cat.path))
    return 0


def _methods(explainer: Explainer, known: Explanation, path: Path) -> Any:
    """Draw the best class of a photograph by each method."""
    drawn: list[Any] = [known.image]
    names = [one for one in METHODS if one not in (*_GUIDED, *ATTENTION_METHODS)]
    for method in names:
        say(method)
        # FinerCAM compares the class with the others.
        classes = known.classes if method == "finercam" else known.classes[:1]
        found = explainer.explain(path, classes, method=method)
        style = "heatmap" if "input_gradients" in METHODS[method].needs else "overlay"
        drawn.append(found.draw(style=style))
    return panel(drawn, [known.labels[0], *names], height=150, columns=_COLUMNS)


def _styles(known: Explanation) -> Any:
    drawn = [known.draw(height=190, style=style) for style in STYLES]
    return panel([known.image, *drawn], [known.labels[0], *STYLES], height=190)


if __name__ == "__main__":
    sys.exit(main())
