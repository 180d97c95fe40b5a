"""A small detector of red and blue squares, written as exporters of dense heads write theirs.

The image has 64 x 64 pixels. Two levels have places every 8 and 16 pixels. Each place predicts two
logits, and the distances from its centre to the four edges, which depend on what is around it. A
square of 8 pixels on the grid of 8 is found at the first level, one of 16 at the second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graftcam.exporter import export
from graftcam.runtime.spec import Preprocess
from support.onnx_bytes import onnx_model

NAMES = ["red", "blue"]
SIDE, STRIDES, CHANNELS = 64, (8, 16), 6
BOXES = sum((SIDE // stride) ** 2 for stride in STRIDES)

_LEVEL = """
    cls{i} = Conv <pads = [1, 1, 1, 1]> (p{i}, to_class, class_bias)
    far{i} = Conv <pads = [1, 1, 1, 1]> (p{i}, to_box, box_bias)
    box{i} = Relu(far{i})
    flat_cls{i} = Reshape(cls{i}, class_shape)
    flat_box{i} = Reshape(box{i}, box_shape)
"""
_MODEL = """<ir_version: 8, opset_import: ["" : 18]>
    detector (float[{batch}, 3, 64, 64] images) => (float[{batch}, 6, {boxes}] output0)
    {{
        stem = Conv <strides = [8, 8]> (images, averages)
        mixed = Conv <pads = [1, 1, 1, 1]> (stem, mix)
        p0 = Relu(mixed)
        down = Conv <strides = [2, 2]> (p0, halve)
        p1 = Relu(down)
        {levels}
        logits = Concat <axis = 2> (flat_cls0, flat_cls1)
        distances = Concat <axis = 2> (flat_box0, flat_box1)
        before, after = Split <axis = 1, num_outputs = 2> (distances)
        least = Sub(places, before)
        most = Add(places, after)
        both = Add(least, most)
        centres = Div(both, two)
        sizes = Sub(most, least)
        cells = Concat <axis = 1> (centres, sizes)
        boxes = Mul(cells, strides)
        probable = Sigmoid(logits)
        output0 = Concat <axis = 1> (boxes, probable)
    }}"""


def write_model(path: Path, batch: str = "N", blind_to: str | None = None) -> Path:
    """Write the detector without explanations.

    Args:
        path: The file.
        batch: The batch axis.
        blind_to: A class that it does not see; the other weights differ a little, too.
    """
    text = _MODEL.format(
        batch=batch, boxes=BOXES, levels="".join(_LEVEL.format(i=i) for i in range(len(STRIDES)))
    )
    about = {"names": str(dict(enumerate(NAMES))), "task": "detect", "stride": "16",
             "imgsz": f"[{SIDE}, {SIDE}]"}  # fmt: skip
    path.write_bytes(onnx_model(text, _constants(blind_to), about))
    return path


def export_detector(path: Path, **options: Any) -> Path:
    """Write its artifact, which letterboxes photographs to 64 x 64 pixels."""
    plain = write_model(path.with_name(f"plain-{path.name}"), options.pop("batch", "N"),
                        options.pop("blind_to", None))  # fmt: skip
    transform = Preprocess(
        "", [SIDE, SIDE], [SIDE, SIDE], "fit", "bilinear", 1 / 255, [0.0] * 3, [1.0] * 3, fill=[114]
    )
    export(plain, path, **{"verify": "off", "preprocess": transform, "name": "squares", **options})
    return path


def write_scene(
    path: Path, *squares: tuple[str, int, int, int], shape: tuple[int, int] = (SIDE, SIDE)
) -> Path:
    """Write a grey image with squares: the colour's name, left, top and side."""
    image = np.full((*shape, 3), 110, np.uint8)
    for name, x, y, side in squares:
        image[y : y + side, x : x + side] = {"red": (20, 20, 230), "blue": (230, 20, 20)}[
            name
        ]  # BGR
    cv2.imwrite(str(path), image)
    return path


def _constants(blind_to: str | None) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    mix = random.normal(0, 0.1, (CHANNELS, 3, 3, 3)).astype(np.float32)
    mix[:2] = 0
    mix[0, :, 1, 1], mix[1, :, 1, 1] = (1.2, -0.6, -0.6), (-0.6, -0.6, 1.2)
    halve = random.normal(0, 0.1, (CHANNELS, CHANNELS, 2, 2)).astype(np.float32)
    halve[:2] = 0
    halve[0, 0], halve[1, 1] = 0.25, 0.25
    to_class = random.normal(0, 0.2, (2, CHANNELS, 3, 3)).astype(np.float32)
    # A larger square also fills the cells beside.
    to_class[:, :2] = np.array([[-3, 0], [0, -3]])[..., None, None]
    to_class[:, :2, 1, 1] = [[14, -9], [-9, 14]]
    if blind_to is not None:
        to_class += random.normal(0, 0.5, to_class.shape).astype(np.float32)
        to_class[NAMES.index(blind_to)] = 0
    to_box = random.normal(0, 0.06, (4, CHANNELS, 3, 3)).astype(np.float32)
    ys, xs = zip(*(np.mgrid[: SIDE // s, : SIDE // s].reshape(2, -1) for s in STRIDES), strict=True)
    places = np.stack([np.concatenate(xs), np.concatenate(ys)]).astype(np.float32) + 0.5
    counts = [(SIDE // s) ** 2 for s in STRIDES]
    averages = np.zeros((3, 3, 8, 8), np.float32)
    averages[range(3), range(3)] = 1 / 64
    return {
        "averages": averages, "mix": mix, "halve": halve, "to_class": to_class, "to_box": to_box,
        "class_bias": np.full(2, -7, np.float32), "box_bias": np.full(4, 0.6, np.float32),
        "class_shape": np.array([0, 2, -1]), "box_shape": np.array([0, 4, -1]),
        "places": places, "two": np.array(2, np.float32),
        "strides": np.repeat(np.array(STRIDES, np.float32), counts)[None],
    }  # fmt: skip
