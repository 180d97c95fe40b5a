"""`graftcam package` writes an artifact in the layout that a server loads."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime.plain_text import plain_lines
from .common import command, tell
from .models import ModelFile
from .options import json_option, to_option


@command(
    "graftcam package resnet50.onnx --triton -o models",
    "graftcam package resnet50.onnx --triton -o models --name cats --max-batch 8",
    "graftcam package resnet50.onnx --openvino -o models",
)
@click.argument("model", type=ModelFile())
@click.option("--triton", "layout", flag_value="triton",
              help="Write a model repository for Triton Inference Server or KServe.")  # fmt: skip
@click.option("--openvino", "layout", flag_value="openvino",
              help="Write a folder for OpenVINO Model Server, of an artifact of the profile "
                   "openvino.")  # fmt: skip
@to_option("folder", "DIR", "The repository; the model becomes a folder in it.", folder=True)
@click.option("--name", metavar="NAME", help="The model's name there. Default: the file's.")
@click.option("--max-batch", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Triton: let the server join requests of up to N images. Then only artifacts "
                   "of the profile web take class ids.")  # fmt: skip
@click.option("--tensors", is_flag=True,
              help="Triton: list activations and gradients as outputs; each response then "
                   "contains them.")  # fmt: skip
@click.option("--mounted", metavar="PATH", default="/models", show_default=True,
              help="OpenVINO: where the server will find the folder.")  # fmt: skip
@json_option
def package(
    model: Path, layout: str | None, folder: Path, name: str | None, max_batch: int, tensors: bool,
    mounted: str, as_json: bool,
) -> None:  # fmt: skip
    """Write the artifact MODEL and its configuration in the layout that a server loads."""
    if layout is None:
        raise click.UsageError("give --triton or --openvino: which server is to load it")
    if layout == "openvino":
        if max_batch or tensors:
            raise click.UsageError("--max-batch and --tensors are for --triton")
        from ..runtime.tools.package.openvino_server import write_models

        written = write_models(model, folder, name, mounted)
    else:
        from ..runtime.tools.package.triton import write_repository

        written = write_repository(model, folder, name, max_batch, tensors=tensors)
    files = sorted(path for path in written.rglob("*") if path.is_file())
    files = [folder / "config.json", *files] if layout == "openvino" else files
    tell({"folder": written, "files": files}, plain_lines(map(str, files)), as_json=as_json)
