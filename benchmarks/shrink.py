"""``python -m benchmarks.shrink`` measures the effect of int8 and float16 on the demo's maps.

For each layer it prints the mean similarity of the maps to the float32 artifact's and the pointing
game, on the classes of the bundled images.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

from graftcam.demo.bundled import images
from graftcam.demo.run import export_digits, pointing_rate
from graftcam.exporter.shrink import Precision, shrink
from graftcam.runtime import Explainer

from .script import table

_HEADS = ("layer", "copy", "maps similar", "equal predictions", "pointing game", "float32's")


def main() -> None:
    """Export, shrink, compare, print."""
    paths = [image.path for image in images()]
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for layer in ("layer3", "layer2", "layer1"):
            source = Path(folder) / f"{layer}.onnx"
            export_digits(source, layers=layer, verify="off")
            whole = pointing_rate(Explainer(source))
            for precision in get_args(Precision):
                made = Path(folder) / f"{layer}-{precision}.onnx"
                done = shrink(source, made, precision, paths, at_least=0.0)
                found = {one.subject: one.value for one in done.verdict.findings}
                rates = (found["prediction"], pointing_rate(Explainer(made)), whole)
                figures = [f"{found['heatmap']:.4f}", *(f"{rate:.1%}" for rate in rates)]
                rows.append([layer, precision, *figures])
    print("\n".join(table(_HEADS, rows)))


if __name__ == "__main__":
    main()
