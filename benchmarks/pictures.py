"""``python -m benchmarks.pictures`` draws the photographs of the documents.

It explains the demo's bundled photographs with EfficientNet-Lite0, and writes to ``docs/images``:

- ``photographs.jpg``: three classes of one photograph;
- ``methods.jpg``: one class by every method that the model allows;
- ``styles.jpg``: one class in each style;
- ``concepts.jpg``: the concepts of two photographs;
- ``refine.jpg``: one class by the maps of three layers, and by RefineCAM.

``--only concepts.jpg refine.jpg`` draws these alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from graftcam.demo.efficientnet import export_efficientnet
from graftcam.demo.explain_photographs import explain
from graftcam.demo.photographs import Photograph, photographs
from graftcam.runtime import Explainer
from graftcam.runtime.methods.table import ATTENTION_METHODS, METHODS
from graftcam.runtime.output.render import STYLES, panel, write_image

from .script import DOCS, ROOT, options, say

# ReLU6 has no guided rule, so that these three methods are not for this model.
_GUIDED = ("guided-backprop", "deconvnet", "guided-gradcam")
_COLUMNS = 5
_LAYERS = ("_blocks.4", "_blocks.10", "_swish#2")


def main() -> int:
    """Export, explain and draw; see the module."""
    asked = options(
        __doc__, docs=(DOCS, "folder of the documents"), only=([*PICTURES], "which to draw")
    )
    cat, astronaut = photographs()[:2]
    for name in asked.only:
        write_image(asked.docs / "images" / name, PICTURES[name](cat, astronaut))
    return 0


@cache
def photograph_model(*layers: str) -> Explainer:
    """Export the model with some target layers, by default the last; `make demo` verifies it."""
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    artifact = folder / ("refine.onnx" if layers else "photographs.onnx")
    extras = [] if layers else ["fullgrad", "head"]
    export_efficientnet(artifact, layers=layers or None, extras=extras, verify="off")
    return Explainer(artifact)


def _three_classes(_: Photograph, astronaut: Photograph) -> Any:
    return explain(photograph_model(), astronaut).panel(height=270)


def _methods(cat: Photograph, _: Photograph) -> Any:
    """Draw the best class of a photograph by each method."""
    explainer = photograph_model()
    known, path = explain(explainer, cat), cat.path
    drawn: list[Any] = [known.image]
    names = [one for one in METHODS if one not in (*_GUIDED, *ATTENTION_METHODS)]
    for method in names:
        say(method)
        # FinerCAM compares the class with the others.
        classes = known.classes if method == "finercam" else known.classes[:1]
        found = explainer.explain(path, classes, method=method)
        drawn.append(found.draw(dilation=1 if METHODS[method].of_pixels else 0))
    return panel(drawn, [known.labels[0], *names], height=150, columns=_COLUMNS)


def _styles(cat: Photograph, _: Photograph) -> Any:
    known = explain(photograph_model(), cat)
    drawn = [known.draw(height=190, style=style) for style in STYLES]
    return panel([known.image, *drawn], [known.labels[0], *STYLES], height=190)


def _concepts(cat: Photograph, astronaut: Photograph) -> Any:
    """Draw the concepts of two photographs, one above the other."""
    explainer = photograph_model()
    sheets = [explainer.concepts(one.path, 5).draw(height=170) for one in (cat, astronaut)]
    width = max(sheet.shape[1] for sheet in sheets)
    white = [((0, 0), (0, width - sheet.shape[1]), (0, 0)) for sheet in sheets]
    padded = [
        np.pad(sheet, pad, constant_values=255) for sheet, pad in zip(sheets, white, strict=True)
    ]
    return np.concatenate(padded)


def _refined(cat: Photograph, _: Photograph) -> Any:
    """Draw one class by the maps of three layers, then by all of them."""
    explainer = photograph_model(*_LAYERS)
    known = explain(explainer, cat)
    label = known.labels[0]
    drawn, titles = list[Any](), list[str]()
    for layer in (*_LAYERS, [*_LAYERS]):
        found = explainer.explain(cat.path, label, method="layercam", layer=layer, fuse="refine")
        drawn.append(found.draw(style="heatmap"))
        cells = found.maps.shape[-1]
        titles.append(f"{cells} x {cells} cells" if isinstance(layer, str) else "refine")
    return panel([known.image, *drawn], [label, *titles], height=150)


PICTURES: dict[str, Callable[[Photograph, Photograph], Any]] = {
    "photographs.jpg": _three_classes,
    "styles.jpg": _styles,
    "methods.jpg": _methods,
    "concepts.jpg": _concepts,
    "refine.jpg": _refined,
}


if __name__ == "__main__":
    sys.exit(main())
