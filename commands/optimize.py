"""`graftcam optimize` saves ONNX Runtime's optimised form of an artifact, for this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ..runtime.json_text import write_json
from ..runtime.plain_text import plain
from .common import command, say
from .models import ModelFile
from .options import json_option, to_option


@command(
    "graftcam optimize resnet50.onnx -o resnet50.here.onnx",
    "graftcam optimize resnet50.onnx -o resnet50.cuda.onnx --provider cuda",
)
@click.argument("model", type=ModelFile())
@to_option("path", "FILE", "The file to write.")
@click.option("--provider", metavar="NAME",
              help="ONNX Runtime provider to optimise for: cuda or cpu. "
                   "Default: CUDA if it starts, else the CPU.")  # fmt: skip
@json_option
def optimize(model: Path, path: Path, provider: str | None, as_json: bool) -> None:
    """Save the artifact MODEL in ONNX Runtime's optimised form, which loads faster.

    The result is an artifact, too. It works only with this version of ONNX Runtime and on
    processors with the same instruction sets, and is refused elsewhere: run this command on the
    machine that runs the model, and keep the original.
    """
    from ..runtime.session.optimize import optimize as run

    made = run(model, path, provider)
    if as_json:
        say(write_json(asdict(made), indent=2, default=str))
        return
    target = made.target
    say(plain(f"{made.path}: {made.size / 1e6:.1f} MB (from {made.before / 1e6:.1f} MB)"))
    say(plain(f"for ONNX Runtime {target.onnxruntime}, {target.provider}, {target.machine}"))
