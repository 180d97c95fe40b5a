"""`graftcam inspect` prints an artifact's metadata."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..runtime.json_text import write_json
from .common import command, say
from .guarded import Destination
from .models import ModelFile
from .options import json_option


@command(
    "graftcam inspect resnet50.onnx",
    "graftcam inspect resnet50.onnx --bom resnet50.cdx.json",
)
@click.argument("model", type=ModelFile())
@json_option
@click.option("--bom", type=Destination(), metavar="FILE",
              help="Write a bill of materials to this file, CycloneDX 1.6 in JSON: files, source, "
                   "tools and verdict; - prints it instead of the metadata.")  # fmt: skip
def inspect(model: Path, as_json: bool, bom: Path | None) -> None:
    """Show the metadata of the artifact MODEL: layers, score, inputs and outputs, verification.

    Exit code 1 if its graph or weights, or a head beside it, changed after the export.
    """
    from ..runtime import Explainer
    from ..runtime.custody.digests import NONE, compare_digests
    from ..runtime.errors import CustodyError
    from ..runtime.output.text import describe_spec

    explainer = Explainer(model, "cpu")
    spec, compared = explainer.spec, compare_digests(model)
    if bom is not None:
        _write_bom(model, bom)
    if str(bom) != "-":
        same = ", ".join(one.subject for one in compared if one.same)
        state = f"{same or 'nothing'}: as exported" if compared else NONE
        text = f"{describe_spec(spec, explainer.inputs)}\ndigests {state}"
        say(write_json(json.loads(spec.to_json()), indent=2) if as_json else text)
    changed = [one.reason for one in compared if one.same is False]
    if changed:
        raise CustodyError(f"{model}: {'; '.join(changed)}")


def _write_bom(model: Path, path: Path) -> None:
    from ..runtime.custody.bom import bill_of_materials
    from ..runtime.errors import CustodyError
    from ..runtime.writing import replace_file

    text = write_json(bill_of_materials(model), indent=2) + "\n"
    if str(path) == "-":
        say(text, nl=False)
    else:
        replace_file(path, text.encode(), CustodyError)
