"""`graftcam export`: write an artifact."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Steps, example, json_option, need_exporter, source_options
from .config import Lock, export_all, read_config
from .export_options import (
    gate_options,
    graph_options,
    output_options,
    score_options,
    transform_options,
)

if TYPE_CHECKING:
    from ..exporter.source.named import Source


@click.command(
    epilog=example(
        "graftcam export torchvision:resnet50 --weights resnet50.pt -o resnet50.onnx",
        "graftcam export my.models:build --weights my.pt --shape 3,96,96 --labels names.txt \\",
        "    --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --activation sigmoid -o my.onnx",
        "graftcam export plain.onnx --layer /layer3/relu -o explained.onnx",
        "graftcam export torchvision:resnet50 --embed-preprocess -o resnet50.onnx",
        "graftcam export torchvision:vgg16 --weights vgg16.pt --guided -o vgg16.onnx",
        "graftcam export plain.onnx -o explained.onnx --full --images pictures --report report",
        "graftcam export plain.onnx --method layercam --method eigencam -o explained.onnx",
        "graftcam export torchvision:resnet50 --weights resnet50.pt --head -o resnet50.onnx",
        "graftcam export yolov8n.onnx --class-offset 4 --activation sigmoid -o explained.onnx",
        "graftcam export --config release.toml",
    )
)
@click.argument("source", required=False)
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), metavar="FILE",
              help="The artifact to write.")  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE",
              help="Export the models of this TOML file, or the one of them that SOURCE names; "
                   "what is up to date is left alone (docs/release.md).")  # fmt: skip
@click.option("--fresh", is_flag=True, help="With --config: export what is up to date, too.")
@source_options
@score_options
@graph_options
@output_options
@transform_options
@gate_options
@json_option
def export(
    source: str | None, path: Path | None, config: Path | None, fresh: bool, weights: str | None,
    shape: list[int] | None, labels: Path | None, mean: list[float] | None,
    std: list[float] | None, resize: int | None, static_batch: bool, no_verify: bool, full: bool,
    as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """Write an artifact from SOURCE: one ONNX file that predicts and explains.

    SOURCE is torchvision:NAME, timm:NAME, package.module:factory, model.pt2 or model.onnx.
    Nothing is written unless the result agrees with PyTorch autograd (for ONNX files: with finite
    differences).
    """
    need_exporter()
    if config is not None:
        if path is not None:
            raise click.UsageError("--config names the outputs itself; leave --output out")
        entries = read_config(config, export, source)
        sys.exit(1 if export_all(entries, Lock(config), export, fresh=fresh) else 0)
    if source is None or path is None:
        raise click.UsageError("SOURCE and --output are needed, or --config")
    if no_verify and full:
        raise click.UsageError("--no-verify and --full exclude each other")
    from ..exporter import export as run
    from ..exporter.report.describe import describe_report
    from ..exporter.source.named import load_source, read_labels

    loaded = load_source(source, weights, shape)
    # The source's own labels are those of its classes, not of a layer's channels.
    own = None if settings["score"] == "channel" else loaded.labels
    with Steps() as steps:
        report = run(
            loaded.model, path, loaded.inputs, labels=read_labels(labels) if labels else own,
            preprocess=_transform(loaded, shape, mean, std, resize), name=loaded.name,
            dynamic_batch=not static_batch, verify="full" if full else not no_verify,
            progress=steps, **settings,
        )  # fmt: skip
    report.notes.extend(loaded.notes)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else describe_report(report))


def _transform(
    source: Source, shape: list[int] | None, mean: list[float] | None, std: list[float] | None,
    resize: int | None,
) -> Any:  # fmt: skip
    """The source's own transform, or one made from --mean, --std and --resize."""
    from ..runtime.spec import Preprocess

    if mean is None and std is None:
        if resize is not None:
            raise click.UsageError("--resize needs --mean and --std")
        return source.preprocess
    if mean is None or std is None:
        raise click.UsageError("--mean and --std go together")
    known = source.preprocess.size if source.preprocess else None
    size, layout = (list(shape[1:]), "nchw") if shape and len(shape) == 3 else (known, "nchw")
    if shape and len(shape) == 3 and shape[0] != len(mean) and shape[2] == len(mean):
        size, layout = list(shape[:2]), "nhwc"
    if size is None:
        raise click.UsageError(
            "--mean and --std need --shape CHANNELS,HEIGHT,WIDTH (or HEIGHT,WIDTH,CHANNELS)"
        )
    short = resize or min(size)
    return Preprocess("", size, [short], "shorter", "bilinear", 1 / 255, mean, std, layout)
