"""`ten` gives ten photographs: those of the demo and of scikit-learn, and parts of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from graftcam.demo import photographs
from graftcam.demo.efficientnet import TRANSFORM
from graftcam.runtime.inputs.preprocess import prepare

COUNT = 10


def ten(folder: Path) -> list[Path]:
    """Write the photographs to a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    own = sorted((Path(photographs.__file__).parent / "photos").glob("*.jpg"))
    images = {path.stem: _read(path) for path in own}
    sample = load_sample_images()
    for name, image in zip(sample.filenames, sample.images, strict=True):
        images[Path(name).stem] = image[:, :, ::-1]
    for name, image in list(images.items()):
        height, width = image.shape[:2]
        # The middle, mirrored: what a photograph shows is somewhere else in it, and larger.
        part = image[height // 8 : -height // 8, width // 8 : -width // 8]
        images[f"{name}-part"] = part[:, ::-1]
    paths: list[Path] = []
    for name, image in list(images.items())[:COUNT]:
        paths.append(folder / f"{name}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths


def pixels_of(paths: list[Path]) -> NDArray[np.float32]:
    """Return photographs as the demo's model takes them, float32 [N, 3, 224, 224]."""
    return np.stack([prepare(TRANSFORM, _read(path)[:, :, ::-1]) for path in paths])


def _read(path: Path) -> NDArray[Any]:
    """The pixels of a file in OpenCV's order, uint8 [H, W, 3]."""
    image = cv2.imread(str(path))
    assert image is not None, path
    return image
