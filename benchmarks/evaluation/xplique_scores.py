"""Xplique's insertion and deletion of a twin in Keras.

This module runs as a script in an environment of its own: ``given.npz taken.npz``. It imports
nothing of graftcam.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Any

import numpy as np

from ..migration.keras_twin import build_twin


def main(given_path: str, taken_path: str) -> None:
    """Read images, maps and weights, and write a score for each image by measure."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    from xplique.metrics import Deletion, Insertion

    with np.load(given_path) as given:
        state = {name: given[name] for name in given.files}
    model = build_twin(tf.keras, state)
    pixels, maps = state["pixels"].astype(np.float32), state["maps"]
    found: dict[str, Any] = {"version": metadata.version("xplique")}
    for name, kind in (("deletion", Deletion), ("insertion", Insertion)):
        scores: list[float] = []
        for image, one, class_id in zip(pixels, maps, state["classes"], strict=True):
            target = np.zeros((1, 1000), np.float32)
            target[0, class_id] = 1
            metric = kind(
                model, image[None], target, batch_size=16, baseline_mode=0.0,
                steps=int(state["steps"]), activation="softmax",
            )  # fmt: skip
            scores.append(float(metric(one[None])))
        found[name] = np.array(scores)
    np.savez(taken_path, **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
