"""`graftcam shrink` writes a copy of an artifact with int8 or float16 weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..runtime.plain_text import plain
from .common import Steps, command, need_exporter, tell
from .models import ModelFile
from .options import FILE, TO_WORD, json_option, max_pixels_option, to_option

_PRECISIONS = ("int8", "float16")


@command(
    "graftcam shrink resnet50.onnx --precision int8 --images photos -o resnet50-int8.onnx",
    "graftcam shrink resnet50.onnx --precision float16 --images photos -o resnet50-half.onnx",
)
@click.argument("artifact", type=ModelFile())
@click.option("--precision", type=click.Choice(_PRECISIONS), default="int8",
              show_default=True, help="Precision of the forward part.")  # fmt: skip
@click.option("--images", type=FILE, required=True, metavar="DIR",
              help="Folder of images like those that the model will see: for int8's ranges, and "
                   "to compare both artifacts on.")  # fmt: skip
@max_pixels_option
@click.option("--at-least", type=click.FloatRange(0, 1), default=0.9, show_default=True,
              metavar="SHARE", help="Smallest similarity of the maps, and smallest share of equal "
                                    "predictions, to accept.")  # fmt: skip
@to_option("path", "FILE", "The smaller artifact.", required=False, words=_PRECISIONS)
@json_option
def shrink(
    artifact: Path, precision: Any, images: Path, max_pixels: int, at_least: float,
    path: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Write a copy of ARTIFACT with its forward part in int8 or float16; gradients stay float32.

    Nothing is written unless both predict the same classes and their maps agree.
    """
    context = click.get_current_context()
    precision = context.meta.get(TO_WORD, precision)  # `--to float16` was the option's first name
    if path is None:
        raise click.UsageError("Missing option '-o' / '--to'.")
    need_exporter(artifact)
    from ..exporter.shrink import shrink as run
    from ..runtime.tools.jobs.find import image_paths

    paths = image_paths(images)
    with Steps() as steps:
        done = run(
            artifact, path, precision, paths, at_least=at_least, max_pixels=max_pixels,
            progress=steps,
        )  # fmt: skip
    before, after = done.bytes
    figures = {one.subject: one.value for one in done.verdict.findings}
    name = plain(str(path))
    record = {
        "artifact": path, "precision": precision, "bytes": {"before": before, "after": after},
        "images": len(paths), "similarity": figures["heatmap"], "agreement": figures["prediction"],
    }  # fmt: skip
    text = (
        f"{name}: {after / 1e6:.1f} MB of {before / 1e6:.1f}, forward part in {precision}\n"
        f"  on {len(paths)} images: maps {figures['heatmap']:.3f} similar, "
        f"{figures['prediction']:.1%} of the predictions equal"
    )
    tell(record, text, as_json=as_json)
