"""`graftcam export` writes an artifact."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ..runtime.exit_codes import ExitCode
from ..runtime.json_text import write_json
from ..runtime.settings import Score, TorchExport
from .common import Steps, command, need_exporter, say
from .completes import completes
from .config import Lock, read_config
from .config_run import export_all
from .export_options import (
    detector_options,
    extra_options,
    gate_options,
    report_option,
    score_options,
    similarity_options,
    trace_options,
    transform_options,
)
from .guarded import Destination, TextOrFile
from .opening import open_option, open_written
from .options import FILE, json_option, source_options
from .sections import RESULTS, Section, under
from .transforms import TRANSFORM, transform_of

_VERIFY = ("verify", "verify_seconds", "accept_partial", "max_pixels")


@command(
    "graftcam export torchvision:resnet50 --weights resnet50.pt -o resnet50.onnx",
    "graftcam export my.models:build --weights my.pt --shape 3,96,96 --labels names.txt \\",
    "    --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --activation sigmoid -o my.onnx",
    "graftcam export plain.onnx --layer /layer3/relu --preprocess imagenet -o explained.onnx",
    "graftcam export keras.onnx --preprocess caffe,squash -o explained.onnx",
    "graftcam export my.models:build --preprocess my.transforms:evaluation -o my.onnx",
    "graftcam export torchvision:resnet50 --extra embed_preprocess -o resnet50.onnx",
    "graftcam export torchvision:vgg16 --weights vgg16.pt --extra guided -o vgg16.onnx",
    "graftcam export plain.onnx --preprocess imagenet --images photos --report out \\",
    "    --verify full -o explained.onnx",
    "graftcam export plain.onnx --extra layercam --extra eigencam -o explained.onnx",
    "graftcam export torchvision:resnet50 --weights resnet50.pt --extra head -o resnet50.onnx",
    "graftcam export faces.onnx --output gender --output age --labels gender=g.txt -o out.onnx",
    "graftcam export image.onnx --score similarity --bank bank.npz --scale 100 -o explained.onnx",
    "graftcam export yolov8n.onnx -o explained.onnx",
    "graftcam export detector.onnx --detector dense --labels names.txt --context \\",
    "    --preprocess unit,letterbox=114 -o explained.onnx",
    "graftcam export --config release.toml",
)
@click.argument("source", required=False, type=TextOrFile(), shell_complete=completes("source"))
@under(RESULTS, click.option(
    "-o", "--to", "path", type=Destination(), metavar="FILE",
    help="The artifact to write; one that is there is replaced.",
))  # fmt: skip
@report_option
@open_option
@source_options
@transform_options
@score_options
@similarity_options
@detector_options
@extra_options
@trace_options
@gate_options
@under(
    Section("Several models"),
    click.option("--config", type=FILE, metavar="FILE",
                 help="Export the models of this TOML file, or only the model that SOURCE names; "
                      "artifacts that are up to date are skipped (docs/release.md)."),
    click.option("--fresh", is_flag=True,
                 help="With --config: also export artifacts that are up to date."),
)  # fmt: skip
@json_option
def export(
    source: str | None, path: Path | None, config: Path | None, fresh: bool, opened: bool,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Write an artifact from SOURCE: one ONNX file that predicts and explains.

    SOURCE is torchvision:NAME, timm:NAME, package.module:factory, model.onnx, or with
    --trust-source model.pt2 or script.pt.
    Nothing is written unless the result agrees with PyTorch autograd (for ONNX files: with finite
    differences). The exit code is 0 if it is written and proven (or --verify off), 1 for an error,
    and 3 if nothing is wrong but the verification could not come to its end.
    """
    # The page that says why a file is refused is the exporter's.
    need_exporter(None if options["report"] else source)
    if opened and not options["report"]:
        raise click.UsageError("--open shows the report; give its folder: --report DIR")
    if config is not None:
        if path is not None:
            raise click.UsageError("the file of --config names the artifacts; leave --to out")
        entries = read_config(config, export, source)
        sys.exit(export_all(entries, Lock(config), export, fresh=fresh, as_json=as_json))
    if source is None or path is None:
        raise click.UsageError("SOURCE and --to are needed, or --config")
    from ..exporter import Verify
    from ..exporter import export as run
    from ..exporter.clock import Clock
    from ..exporter.places import check_places
    from ..exporter.report.describe import describe_report
    from ..exporter.report.known import Known
    from ..exporter.report.missing import missing
    from ..exporter.report.page.write import page_of_failure
    from ..exporter.source.labels import labels_of_files
    from ..exporter.source.named import load_source
    from ..exporter.verify.verdict.settings import SECONDS

    check_places(path, options["report"], ())
    transform = {name: options.pop(name) for name in TRANSFORM}
    given = any(value is not None for value in transform.values())
    shapes, labels, name = (options.pop(key) for key in ("shapes", "labels", "name"))
    trust = options.pop("trust")
    loaded = load_source(source, options.pop("weights"), shapes, trust=trust)
    traced = {name: options.pop(name) for name in _names(TorchExport)}
    traced = {name: value for name, value in traced.items() if value not in (None, ())}
    score = Score(options.pop("score"), **{key: options.pop(key) for key in _names(Score)[1:]})
    # The source's own labels are those of its classes, not of a layer's channels, of texts, nor of
    # one of several outputs.
    other = score.kind in ("channel", "similarity") or len(score.outputs) > 1
    own = None if other else loaded.labels
    name = name or loaded.name
    with page_of_failure(options["report"], Known(path, name, Clock(None))):
        verify = Verify(*(options.pop(key) for key in _VERIFY))
        labels = labels_of_files(labels, score.outputs) if labels else own
        preprocess = transform_of(transform, loaded, shapes) if given else loaded.preprocess
    most = SECONDS[verify.level] if verify.seconds is None else verify.seconds
    with Steps(most, "verify") as steps:
        report = run(
            loaded.model, path, loaded.inputs, score=score,
            trace=TorchExport(**traced) if traced else None, labels=labels, name=name,
            preprocess=preprocess, verify=verify, shapes=loaded.shapes, progress=steps, **options,
        )  # fmt: skip
    report.notes.extend([*loaded.notes, *missing(report.spec)])
    say(write_json(report.to_dict(), indent=2) if as_json else describe_report(report))
    if opened:
        open_written([Path(options["report"]) / "index.html"])
    if report.verification.verdict == "unproven":
        sys.exit(ExitCode.UNPROVEN)


def _names(record: Any) -> list[str]:
    return [entry.name for entry in fields(record)]
