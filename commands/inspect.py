"""`graftcam inspect` prints an artifact's metadata."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..runtime.json_text import write_json
from .common import command, say
from .options import FILE, json_option


@command("graftcam inspect resnet50.onnx")
@click.argument("model", type=FILE)
@json_option
def inspect(model: Path, as_json: bool) -> None:
    """Show the metadata of the artifact MODEL: layers, score, inputs and outputs, verification."""
    from ..runtime import Explainer
    from ..runtime.output.text import describe_spec

    explainer = Explainer(model, "cpu")
    spec = explainer.spec
    text = describe_spec(spec, explainer.inputs)
    say(write_json(json.loads(spec.to_json()), indent=2) if as_json else text)
