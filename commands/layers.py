"""`graftcam layers` lists the layers that can be explained."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..runtime.json_text import write_json
from ..runtime.plain_text import plain
from ..runtime.settings import DetectorChoice, Score
from .common import command, need_exporter, say
from .completes import completes
from .export_options import detector_options
from .options import axis_options, json_option, output_option, source_options


@command(
    "graftcam layers torchvision:mobilenet_v3_large",
    "graftcam layers model.onnx --all",
    "graftcam layers yolov8n.onnx",
    "graftcam layers detector.onnx --detector dense --context",
    "graftcam layers torchvision:ssd300_vgg16 --detector before_nms --shape 3,300,300",
    "graftcam layers detector.onnx --detector off --output scores",
)
@click.argument("source", shell_complete=completes("source"))
@source_options
@output_option
@axis_options
@detector_options
@click.option("--all", "everything", is_flag=True, help="Show unusable layers too.")
@json_option
def layers(
    source: str, weights: str | None, shapes: dict[str, list[int | None]], trust: bool,
    output: str | list[str] | None, class_axis: int | None, class_offset: int | None,
    detector: DetectorChoice | None, context: bool, everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """List the layers of SOURCE that can be explained, the automatic choice first.

    Of a detector, say what shows it, and list the layers of its levels.
    """
    need_exporter(source)
    from ..exporter.capture.detector_summary import summarise_detector
    from ..exporter.capture.model import layers_and_score
    from ..exporter.source.named import load_source
    from ..exporter.source.settings import ExportSettings

    loaded = load_source(source, weights, shapes, trust=trust)
    score = Score(output=output, class_axis=class_axis, class_offset=class_offset)
    own = None if len(score.outputs) > 1 else loaded.labels  # as for `export`
    settings = ExportSettings(score, detector=detector, context=context, labels=own)
    boxes, notes = summarise_detector(loaded.model, loaded.inputs, settings, loaded.shapes)
    # Only now: it imports OpenCV, which a file that was refused does not need.
    from ..exporter.report.describe import describe_candidates, describe_detector

    if boxes is not None:
        say(write_json(asdict(boxes), indent=2) if as_json else describe_detector(boxes))
        return
    found, scored = layers_and_score(loaded.model, loaded.inputs, score, loaded.shapes)
    shown_notes = "".join(f"note: {plain(note)}\n" for note in notes)
    if as_json:
        say(shown_notes, err=True, nl=False)
        say(write_json([candidate.__dict__ for candidate in found], indent=2))
        return
    shown = found if everything else [candidate for candidate in found if candidate.usable]
    hint = "" if everything else " (see --all)"
    say(plain(f"scores {scored}"))
    say(shown_notes)
    say(describe_candidates(shown) if shown else f"no layer can be explained{hint}")
