"""`graftcam demo` explains photographs, and digits whose places are known."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime.errors import GraftcamError
from ..runtime.json_text import write_json
from ..runtime.plain_text import plain
from .common import Steps, command, say
from .guarded import Destination
from .opening import open_option, open_written
from .options import FILE, json_option

if TYPE_CHECKING:
    from ..demo.explain_photographs import Explained

_NEEDED = ("onnx", "onnx_ir", "onnxruntime", "onnxscript", "torch", "torchvision")


@command("graftcam demo", "graftcam demo photo.jpg", "graftcam demo *.jpg -o /tmp/demo")
@click.argument("photos", nargs=-1, type=FILE)
@click.option("-o", "--to", "folder", type=Destination(folder=True), default="out/demo",
              show_default=True, metavar="DIR", help="Folder to write to.")  # fmt: skip
@open_option
@json_option
def demo(photos: tuple[Path, ...], folder: Path, opened: bool, as_json: bool) -> None:
    """Export an ImageNet model, verify it, and explain photographs: yours, or the demo's own.

    The model is EfficientNet-Lite0. Without PHOTOS, the demo's photographs are explained, and then
    digits whose true places are known. Without the model's packages only the digits are.

    DIR/index.html shows everything. A file in DIR is replaced only if a demo wrote it.
    """
    if lacking := [name for name in _NEEDED if not find_spec(name)]:
        raise GraftcamError(
            f'{", ".join(lacking)} missing; the demo needs: pip install "graftcam[cpu,demo]"'
        )
    from ..demo.efficientnet import missing_packages, need_packages
    from ..demo.everything import run
    from ..demo.photographs import own_photographs, photographs

    if photos:
        need_packages()
    missing = missing_packages()
    shown = own_photographs(photos) if photos else [] if missing else photographs()
    with Steps() as steps:
        result = run(folder, shown, digits=not photos, progress=steps)
    if opened:
        open_written([result.index])
    if as_json:
        say(write_json(result.to_dict(), indent=2))
        return
    if result.report is not None:
        verdict = result.report.verification
        say(
            plain(
                f"EfficientNet-Lite0: {result.report.path}, verified against "
                f"{verdict.reference} on {verdict.images} inputs, {verdict.worst()}"
            )
        )
    for one in result.explained:
        say(plain(f"  {one.task.name}: {_classes(one)}"))
    if result.digits is not None:
        say(f"digits: {result.digits.pointing}")
    if missing:
        say(f'photographs: left out, since {", ".join(missing)} is missing; they need: '
            'pip install "graftcam[cpu,demo]"')  # fmt: skip
    say(plain(f"open {result.index}"))


def _classes(one: Explained) -> str:
    return ", ".join(f"{shown.label} p = {shown.probability:.3f}" for shown in one.found)
