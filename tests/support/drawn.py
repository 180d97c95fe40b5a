"""Photographs, and files of what people drew on them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graftcam.runtime.tools.evaluate.truth.read import read_annotations
from graftcam.runtime.tools.evaluate.truth.truth import Annotations

LABELS = ("cat", "hot dog", "dog, hound")


def photographs(folder: Path, *names: str) -> Path:
    """Write empty files, of which only the names count, into a new folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def write_texts(folder: Path, texts: Mapping[str, str]) -> Path:
    """Write text files into a folder and below."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def read(
    source: Path, images: Path, labels: Sequence[str] | None = LABELS, classes: int = 3
) -> Annotations:
    """Read annotations for a model of three classes."""
    return read_annotations(source, labels, classes, images)


def coco(**changes: Any) -> dict[str, Any]:
    """COCO's data of one photograph, ``a.jpg`` of 6 x 4 pixels, with a dog in a box."""
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 6, "height": 4}],
        "categories": [{"id": 7, "name": "Dog"}, {"id": 8, "name": "zebra"}],
        "annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 3]}],
    } | changes


def write_coco(path: Path, **changes: Any) -> Path:
    """Write `coco`'s data."""
    path.write_text(json.dumps(coco(**changes)))
    return path


def voc(*objects: tuple[str, tuple[float, ...]], size: tuple[int, int] | None = (4, 6)) -> str:
    """Pascal VOC's XML of names and boxes; the size is height and width."""
    drawn = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(
            f"<{end}>{value}</{end}>"
            for end, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        + "</bndbox></object>"
        for name, box in objects
    )
    stored = f"<size><width>{size[1]}</width><height>{size[0]}</height></size>" if size else ""
    return f"<annotation>{stored}{drawn}</annotation>"


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask's file, white on black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask.astype(np.uint8) * 255)


def write_turned_photograph(path: Path, height: int, width: int) -> None:
    """Write a JPEG of ``height`` x ``width`` that stands upright after a quarter turn."""
    stored = cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))[1].tobytes()
    orientation = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + orientation
    mark = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    path.write_bytes(stored[:2] + mark + segment + stored[2:])


def pixels(*rows: str) -> np.ndarray:
    """A mask whose rows are written as text: ``#`` is True."""
    return np.array([[sign == "#" for sign in row] for row in rows])
