"""``python -m benchmarks.shrink`` measures the effect of int8 and float16 on the demo's maps.

For each layer it prints the mean similarity of the maps to the float32 artifact's and the pointing
game, on the classes of the bundled images.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import torch

from graftcam.demo.bundled import WEIGHTS, images
from graftcam.demo.data import LABELS, SIZE
from graftcam.demo.model import build
from graftcam.demo.run import TRANSFORM, pointing_rate
from graftcam.exporter import Score, export
from graftcam.exporter.shrink import Precision, shrink
from graftcam.runtime import Explainer


def main() -> None:
    """Export, shrink, compare, print."""
    model = build()
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    paths = [image.path for image in images()]
    print("| layer | copy | maps similar | equal predictions | pointing game | float32's |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for layer in ("layer3", "layer2", "layer1"):
            source = Path(folder) / f"{layer}.onnx"
            example = (torch.zeros(1, 3, SIZE, SIZE),)
            export(
                model, source, example, layers=layer, labels=LABELS, preprocess=TRANSFORM,
                score=Score(activation="sigmoid"), verify="off",
            )  # fmt: skip
            whole = pointing_rate(Explainer(source))
            for precision in get_args(Precision):
                made = Path(folder) / f"{layer}-{precision}.onnx"
                done = shrink(source, made, precision, paths, at_least=0.0)
                found = {one.subject: one.value for one in done.verdict.findings}
                print(
                    f"| {layer} | {precision} | {found['heatmap']:.4f} | {found['prediction']:.1%} "
                    f"| {pointing_rate(Explainer(made)):.1%} | {whole:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
