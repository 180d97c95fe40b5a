"""This script exports and verifies Keras's Xception and VGG16 on the PyTorch backend.

    KERAS_BACKEND=torch python -m benchmarks.keras_models

The weights are random, since only the graph is checked.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch

from graftcam.exporter import export

# The layers that articles on Grad-CAM with Keras use, and one inside.
CASES = (
    ("Xception", 299, "block14_sepconv2_act"),
    ("Xception", 299, "block9_sepconv3_act"),
    ("VGG16", 224, "block5_conv3"),
)


def main() -> None:
    """Print a line a case; a wrong artifact raises."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    for name, size, layer in CASES:
        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(weights=None)
        example = (torch.zeros(1, size, size, 3),)
        with tempfile.TemporaryDirectory() as folder:
            report = export(model, Path(folder) / "m.onnx", example, layers=layer)
        seconds = ", ".join(f"{step} {time:.0f} s" for step, time in report.seconds.items())
        found = report.spec.layers[0]
        print(
            f"{name} {layer}: {found.layout} {found.grid}, {report.nodes[1]} nodes added to "
            f"{report.nodes[0]}, {report.verification.worst()}; {seconds}"
        )


if __name__ == "__main__":
    main()
