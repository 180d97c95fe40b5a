"""`build` writes the demo as a page of static files for any web server; see `make browser`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from graftcam.demo.bundled import images
from graftcam.demo.data import LABELS
from graftcam.demo.run import export_digits
from graftcam.runtime.page.static_site import write_site

HERE = Path(__file__).parent
ENGINE = HERE / "node_modules" / "onnxruntime-web"


def build(folder: Path) -> None:
    """Write the page with the demo's model and its images to ``folder``, which is new or empty."""
    shown: dict[Path, str] = {}
    for image in images():
        *most, last = [LABELS[box.label] for box in image.boxes]
        shown[image.path] = f"Handwritten digits in clutter: {', '.join(most)} and {last}"
    with TemporaryDirectory() as name:
        model = Path(name) / "digits.onnx"
        export_digits(model, profile="web")
        write_site({"digits": model}, folder, ENGINE, shown)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "out/browser")
    if (target / "page.json").is_file():  # of an earlier build
        shutil.rmtree(target)
    build(target)
