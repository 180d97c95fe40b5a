"""This script measures what drawing costs next to decoding the image's file.

    python -m benchmarks.drawing [--rounds 7]

Each row is one photograph: megapixels; CPU time of decoding its JPEG, of preparing the model's
input, of the drawing in each style from the raw map to the finished image in memory, and of
encoding it; and how much a process's peak memory rises while it decodes, draws and encodes. All on
one thread, in turns. The last column is the slowest of overlay and heatmap over decoding: the
target is at most 1.

The photographs are made of those of scikit-image at their own resolution, with a sensor's grain.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from graftcam.runtime.inputs.image_files import Pixels, read_image
from graftcam.runtime.inputs.preprocess import place, prepare
from graftcam.runtime.output.render import Look, encode_image, palette
from graftcam.runtime.output.render.look import Style
from graftcam.runtime.output.views import Drawing, PhotoView
from graftcam.runtime.spec import Preprocess

from .field.inputs import PICTURES
from .field.packages import CACHE
from .script import options, say, table
from .spawn import spawn

_SIZES = ((480, 640), (1080, 1920), (4000, 6000))  # height and width
_TILES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
_TILE = (300, 400)  # height and width, which all of them have
_GRAIN = 2.0  # standard deviation, in grey levels
_QUALITY = 92
_TRANSFORM = Preprocess(
    resize=(224, 224), resize_mode="exact", size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3
)


def main() -> int:
    """Measure and print the table."""
    asked = options(__doc__, rounds=(7, "measurements of each step; their medians are shown"))
    rows: list[list[str]] = []
    styles = list(get_args(Style))
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        for height, width in _SIZES:
            path = Path(folder) / f"{width}.jpg"
            cv2.imwrite(str(path), photograph(height, width), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            times = spawn("drawing_times", path=path, rounds=asked.rounds)
            memory = spawn("drawing_memory", path=path)
            slowest = max(times["overlay"], times["heatmap"])
            rows.append([
                f"{height * width / 1e6:.1f}", f"{path.stat().st_size / 1e6:.1f}",
                *(f"{times[name]:.1f}" for name in ("decode", "prepare", *styles, "png", "jpg")),
                f"{3 * height * width / 1e6:.0f}",
                *(f"{memory[name]:.0f}" for name in ("decode", "draw", "encode")),
                f"{slowest / times['decode']:.2f}",
            ])  # fmt: skip
            say(f"{width} x {height} is measured")
    heads = [
        "megapixels", "file MB", "decode ms", "prepare ms", *(f"{style} ms" for style in styles),
        "png ms", "jpg ms", "image MB", "decode peak MB", "draw peak MB", "png peak MB",
        "draw / decode",
    ]  # fmt: skip
    print("\n".join(table(heads, rows)))
    return 0


def photograph(height: int, width: int) -> Pixels:
    """Return photographs beside each other, with grain: BGR uint8."""
    data = PICTURES.fetch(CACHE) / "skimage" / "data"
    tall, wide = _TILE
    tiles = [np.asarray(cv2.imread(str(data / name)))[:tall, :wide] for name in _TILES]
    rows, columns = -(-height // tall), -(-width // wide)
    sheet = np.concatenate([
        np.concatenate([tiles[(row + column) % len(tiles)] for column in range(columns)], axis=1)
        for row in range(rows)
    ])[:height, :width]  # fmt: skip
    grain = np.random.default_rng(0).normal(0, _GRAIN, (height, width, 1)).astype(np.float32)
    return np.clip(sheet + grain, 0, 255).astype(np.uint8)


def times(path: str, rounds: int) -> dict[str, float]:
    """Medians of the CPU time of each step, in milliseconds."""
    cv2.setNumThreads(1)
    steps = _steps(Path(path))
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 + rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            taken[name].append(1000 * (time.process_time() - start))
    # The first round warms up.
    return {name: float(np.median(values[1:])) for name, values in taken.items()}


def memory(path: str, peak_mb: Callable[[], float]) -> dict[str, float]:
    """How much the peak memory rises in each step, in megabytes."""
    # What libraries load once does not count.
    encode_image(_draw(np.zeros((8, 8, 3), np.uint8), "overlay"))
    found: dict[str, float] = {}
    image = drawn = None
    for step in ("decode", "draw", "encode"):
        start = _fresh_peak(peak_mb)
        if step == "decode":
            image = read_image(path)
        elif step == "draw" and image is not None:
            drawn = _draw(image, "overlay")
        elif drawn is not None:
            encode_image(drawn)
        found[step] = peak_mb() - start
    return found


def _fresh_peak(peak_mb: Callable[[], float]) -> float:
    """Let the peak begin again at what the process has now, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def _steps(path: Path) -> dict[str, Callable[[], Any]]:
    image = read_image(path)
    drawn = _draw(image, "overlay")
    return {
        "decode": lambda: read_image(path),
        "prepare": lambda: prepare(_TRANSFORM, image),
        **{style: lambda style=style: _draw(image, style) for style in get_args(Style)},
        "png": lambda: encode_image(drawn),
        "jpg": lambda: encode_image(drawn, ".jpg"),
    }


def _draw(image: Pixels, style: Style) -> Pixels:
    """Draw a map of 7 x 7 cells over all of the image."""
    raw = np.maximum(np.random.default_rng(1).normal(0, 1, (7, 7)), 0)
    values = (raw / raw.max()).astype(np.float32)
    view = PhotoView(image, place(_TRANSFORM, *image.shape[:2]))
    return view.draw(Drawing(values, palette(), Look(style=style)))


if __name__ == "__main__":
    sys.exit(main())
