"""The models of the load tests: a light one, the demo's photographs' one, and a heavy one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..script import ROOT

MODELS = ("digits", "efficientnet-lite0", "resnet50")
PHOTOS = tuple(ROOT / "demo" / "photos" / f"{name}.jpg" for name in ("astronaut", "cat", "coffee"))
_CODE = {
    "digits": "from graftcam.demo.run import export_digits; export_digits(path)",
    "efficientnet-lite0": (
        "from graftcam.demo.efficientnet import export_efficientnet; "
        "export_efficientnet(path, verify='off')"
    ),
    "resnet50": (
        "import torch, torchvision; from graftcam.exporter import export; "
        "from graftcam.runtime.spec import Preprocess; torch.manual_seed(0); "
        "export(torchvision.models.resnet50().eval(), path, (torch.zeros(1, 3, 224, 224),), "
        "preprocess=Preprocess(size=(224, 224)), verify='off')"
    ),
}


def artifact(name: str, folder: Path) -> Path:
    """Return the artifact of a model, which is made once, in another process."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{name}.draft.onnx"
        code = f"import pathlib, sys; path = pathlib.Path(sys.argv[1]); {_CODE[name]}"
        subprocess.run([sys.executable, "-c", code, draft], check=True, cwd=ROOT)
        draft.rename(path)
    return path
