"""`graftcam layers` lists the layers that can be explained."""

from __future__ import annotations

import json

import click

from ..runtime.settings import Score
from .common import command, need_exporter
from .options import axis_options, json_option, output_option, source_options


@command(
    "graftcam layers torchvision:mobilenet_v3_large",
    "graftcam layers model.onnx --all",
    "graftcam layers detector.onnx --output scores",
)
@click.argument("source")
@source_options
@output_option
@axis_options
@click.option("--all", "everything", is_flag=True, help="Show unusable layers too.")
@json_option
def layers(
    source: str, weights: str | None, shapes: dict[str, list[int | None]],
    output: str | list[str] | None, class_axis: int | None, class_offset: int | None,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """List the layers of SOURCE that can be explained, the automatic choice first."""
    need_exporter()
    from ..exporter.capture.model import layers_and_score
    from ..exporter.report.describe import describe_candidates
    from ..exporter.source.named import load_source

    loaded = load_source(source, weights, shapes)
    score = Score(output=output, class_axis=class_axis, class_offset=class_offset)
    found, scored = layers_and_score(loaded.model, loaded.inputs, score, loaded.shapes)
    if as_json:
        click.echo(json.dumps([candidate.__dict__ for candidate in found], indent=2))
        return
    shown = found if everything else [candidate for candidate in found if candidate.usable]
    hint = "" if everything else " (see --all)"
    click.echo(f"scores {scored}\n")
    click.echo(describe_candidates(shown) if shown else f"no layer can be explained{hint}")
