"""`build` writes the page as a folder of static files for any web server; see `make browser`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import graftcam.runtime.inputs
from graftcam.demo.bundled import images
from graftcam.demo.data import LABELS
from graftcam.demo.run import export_digits

HERE = Path(__file__).parent
ENGINE = HERE / "node_modules" / "onnxruntime-web" / "dist"
# ONNX Runtime for browsers without WebGPU, and the larger one for those with it.
BUILDS = {
    "ort.wasm.min.mjs": "ort-wasm-simd-threaded",
    "ort.webgpu.min.mjs": "ort-wasm-simd-threaded.asyncify",
}


def build(folder: Path) -> None:
    """Write page, ONNX Runtime, the demo's model and its images to ``folder``."""
    (folder / "ort").mkdir(parents=True, exist_ok=True)
    for file in HERE.iterdir():
        if file.suffix in (".html", ".css", ".js"):
            shutil.copy(file, folder)
    for script, machine in BUILDS.items():
        for name in (script, f"{machine}.mjs", f"{machine}.wasm"):
            shutil.copy(ENGINE / name, folder / "ort")
    for resizer in Path(graftcam.runtime.inputs.__file__).parent.glob("resize_*.onnx"):
        shutil.copy(resizer, folder)
    export_digits(folder / "model.onnx", profile="web")
    _add_images(folder / "images")


def _add_images(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    entries: list[dict[str, str]] = []
    for image in images():
        shutil.copy(image.path, folder)
        *most, last = [LABELS[box.label] for box in image.boxes]
        words = f"Handwritten digits in clutter: {', '.join(most)} and {last}"
        entries.append({"file": image.path.name, "words": words})
    (folder / "index.json").write_text(json.dumps(entries, indent=1), "utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "out/browser"))
