"""Readers of the runtime: artifacts, their metadata, inputs, a job's table, annotations."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from graftcam.runtime import Explainer
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.inputs.tensor_files import read_tensor
from graftcam.runtime.inputs.token_table import read_tokens
from graftcam.runtime.spec import Spec, Verification
from graftcam.runtime.tools.evaluate.truth.localisation import pointing
from graftcam.runtime.tools.evaluate.truth.read import read_annotations
from graftcam.runtime.tools.evaluate.truth.yolo_names import yaml_names
from graftcam.runtime.tools.jobs.table import Table
from hostile.reader import Reader
from support.artifacts import spec, write_artifact, write_segmenter, write_two_layers
from support.artifacts_nd import write_signal, write_text
from support.box_artifacts import write_detector
from support.drawn import LABELS, coco, photographs, voc
from support.paths import DATA
from support.sound import sound

_IMAGE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
_JOB = {"artifact": "x", "method": "gradcam"}


def _written(*writers: Callable[[Path], object]) -> list[bytes]:
    """The bytes that each writer writes to the path that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        found: list[bytes] = []
        for number, write in enumerate(writers):
            path = Path(folder) / str(number)
            write(path)
            found.append(path.read_bytes())
        return found


def _artifacts() -> list[bytes]:
    classifier = (DATA / "spec1" / "spec1-classifier.onnx").read_bytes()
    writers = (write_artifact, write_two_layers, write_segmenter, write_detector)
    return [classifier, *_written(*writers)]


def _explained(path: Path) -> None:
    """Open an artifact and explain an image, as `graftcam explain` does."""
    explainer = Explainer(path, "cpu", threads=1)
    if explainer.spec.detector is not None:
        explainer.detect(_IMAGE)
    else:
        explainer.explain(_IMAGE, top=1).panel()


def _records() -> list[bytes]:
    """Of a classifier, a signal's, a text's and a detector's artifact."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.onnx"
        stored: list[Spec] = []
        for write in (write_signal, write_text, write_detector):
            write(path)
            stored.append(Explainer(path, "cpu").spec)
    return [one.to_json().encode() for one in (*_own(), *stored)]


def _own() -> list[Spec]:
    return [spec(), spec(labels=None, verification=Verification("pass", "autograd-float64"))]


def _own_records() -> list[bytes]:
    return [one.to_json().encode() for one in _own()]


def _with_record(path: Path) -> None:
    """Explain with an artifact whose record is the file's text."""
    artifact = path.with_name("artifact.onnx")
    try:
        write_artifact(artifact, metadata=path.read_bytes())
        _explained(artifact)
    finally:
        artifact.unlink(missing_ok=True)


def _only_record(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    Spec.from_json(Spec.from_json(text).to_json())


def _encoded(*suffixes: str) -> list[bytes]:
    grey, alpha = _IMAGE[:, :, 0], np.dstack([_IMAGE, _IMAGE[:, :, 0]])
    deep = _IMAGE.astype(np.uint16) << 8
    found: list[bytes] = []
    for suffix in suffixes:
        for image in (_IMAGE, grey, alpha, deep):
            try:
                done, data = cv2.imencode(suffix, image)
            except cv2.error:  # not for this number of channels
                continue
            if done:
                found.append(data.tobytes())
    return found


def _images() -> list[bytes]:
    return _encoded(".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm", ".gif", ".jp2", ".avif")


def _arrays() -> list[bytes]:
    values = (np.arange(6.0).reshape(2, 3), np.zeros((2, 0), np.int8), np.array(True))
    return _written(*(functools.partial(_save, value) for value in values))


def _save(value: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, value)


def _archives() -> list[bytes]:
    packed = io.BytesIO()
    np.savez(packed, image=np.zeros((2, 3), np.float32), length=np.array(3))
    return [packed.getvalue()]


def _sounds() -> list[bytes]:
    widths = ((8, 1), (16, 1), (24, 1), (32, 3))
    return _written(*(functools.partial(sound, bits=bits, tag=tag) for bits, tag in widths))


def _values(path: Path) -> None:
    """Read an array file, every number of it."""
    found = read_tensor(path)
    for tensor in found.values() if isinstance(found, dict) else [found]:
        np.asarray(tensor.values).sum()


def _tables() -> list[bytes]:
    row = (
        '{"boxes":[],"classes":[{"id":1,"label":"a","score":1.5}],"error":null,"files":["a.jpg"],'
        '"height":8,"layer":"l","method":"gradcam","path":"%s","status":"ok","width":8}\n'
    )
    return ["".join(row % name for name in ("a.png", "b/c.png", "d.png")).encode()]


def _table(path: Path) -> None:
    """Continue a job whose table is the file."""
    folder = path.with_name("job")
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(_JOB))
    path.replace(folder / "results.jsonl")
    try:
        with Table(folder, _JOB) as table:
            table.finish()
    finally:
        for one in folder.iterdir():
            one.unlink()
        folder.rmdir()


@functools.cache
def _photographs() -> Path:
    return photographs(Path(tempfile.mkdtemp()), "mutant.jpg")


def _drawn(source: Path) -> None:
    """Read annotations, and ask for what is drawn on a photograph."""
    found = read_annotations(source, LABELS, len(LABELS), _photographs())
    for truth in found.of("mutant.jpg", (7, 9)).values():
        pointing(np.ones((7, 9)), truth)


def _beside(path: Path) -> None:
    """Read annotations whose file is in a folder."""
    _drawn(path.parent)


def _coco() -> list[bytes]:
    square, image = [[0, 0, 2, 0, 2, 2, 0, 2]], {"id": 1, "file_name": "mutant.jpg"}
    outlines = (
        square, [], {"counts": [50, 1, 11, 1], "size": [7, 9]},
        {"counts": "2131NO142LM001110N02ON011O10N00023", "size": [7, 9]},
    )  # fmt: skip
    every = [
        {"image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 3], "segmentation": outline}
        for outline in outlines
    ]
    files = [coco(images=[image], annotations=[one]) for one in every]
    sized = coco(images=[{**image, "width": 9, "height": 7}], annotations=every)
    return [json.dumps(one).encode() for one in (*files, sized)]


def _voc() -> list[bytes]:
    boxes = (("dog", (1, 2, 6, 3)), ("Cat", (2.5, 1, 4, 4)))
    return [voc(*boxes, size=(7, 9)).replace(">", ">\n").encode(), voc(*boxes, size=None).encode()]


_YOLO = [b"1 0.5 0.5 0.5 0.5\n2 0.1 0.2 0.3 0.4\n", b"0 0.0 0.25 0.5 0.25 0.5 1.0 0.0 1.0\n"]
_YAML = [
    b"nc: 3\nnames: ['cat', \"hot dog\", dog]\n", b"names:\n  0: cat\n  1: 'hot dog'\n",
    b"names: {0: cat, 1: dog}\n", b"names:\n- cat\n- dog # x\n",
]  # fmt: skip


def _names(path: Path) -> None:
    yaml_names(path.read_bytes().decode("utf-8-sig", "replace"), path)


READERS = (
    Reader("artifact", "protobuf", ".onnx", _artifacts, _explained, 14),
    Reader("record", "json", ".json", _records, _only_record, 16),
    Reader("record of an artifact", "json", ".json", _own_records, _with_record, 14),
    Reader("image", "bytes", ".img", _images, read_image, 12),
    Reader("png", "png", ".png", lambda: _encoded(".png"), read_image, 4),
    Reader("npy", "bytes", ".npy", _arrays, _values, 3),
    Reader("npz", "zip", ".npz", _archives, _values, 3),
    Reader("wav", "bytes", ".wav", _sounds, _values, 3),
    Reader("vocabulary", "json", ".json", lambda: [b'{"a": 0, "b": 1}', b'["a"]'], read_tokens, 2),
    Reader("tokens", "lines", ".txt", lambda: [b"[CLS]\nthe\ncat\n"], read_tokens, 1),
    Reader("table", "lines", ".jsonl", _tables, _table, 4),
    Reader("coco", "json", ".json", _coco, _drawn, 4),
    Reader("voc", "lines", ".xml", _voc, _beside, 2),
    Reader("yolo", "lines", ".txt", lambda: _YOLO, _beside, 1),
    Reader("yolo names", "lines", ".yaml", lambda: _YAML, _names, 1),
)
