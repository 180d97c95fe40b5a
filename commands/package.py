"""`graftcam package` writes an artifact in the layout that a server loads."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime.plain_text import plain
from .common import command, say
from .options import FILE, to_option


@command(
    "graftcam package resnet50.onnx --triton -o models",
    "graftcam package resnet50.onnx --triton -o models --name cats --max-batch 8",
)
@click.argument("model", type=FILE)
@click.option("--triton", "layout", flag_value="triton", required=True, expose_value=False,
              help="Write a model repository for Triton Inference Server or KServe.")  # fmt: skip
@to_option("folder", "DIR", "The repository; the model becomes a folder in it.", folder=True)
@click.option("--name", metavar="NAME", help="The model's name there. Default: the file's.")
@click.option("--max-batch", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Let the server join requests of up to N images. Then only artifacts of the "
                   "profile web take class ids.")  # fmt: skip
@click.option("--tensors", is_flag=True,
              help="List activations and gradients as outputs; each response then contains "
                   "them.")  # fmt: skip
def package(model: Path, folder: Path, name: str | None, max_batch: int, tensors: bool) -> None:
    """Write the artifact MODEL and its configuration in the layout that a server loads."""
    from ..runtime.tools.triton import write_repository

    written = write_repository(model, folder, name, max_batch, tensors=tensors)
    for path in sorted(path for path in written.rglob("*") if path.is_file()):
        say(plain(str(path)))
