"""`graftcam export` writes an artifact."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime.settings import Score, TorchExport
from ..runtime.spec import Preprocess
from .common import Steps, command, need_exporter
from .config import Lock, export_all, read_config
from .export_options import (
    extra_options,
    gate_options,
    score_options,
    trace_options,
    transform_options,
)
from .options import FILE, json_option, source_options

if TYPE_CHECKING:
    from ..exporter.source.named import Source

_VERIFY = ("verify", "verify_seconds", "accept_partial")
_TRANSFORM = ("preprocess", "mean", "std", "resize")


@command(
    "graftcam export torchvision:resnet50 --weights resnet50.pt -o resnet50.onnx",
    "graftcam export my.models:build --weights my.pt --shape 3,96,96 --labels names.txt \\",
    "    --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --activation sigmoid -o my.onnx",
    "graftcam export plain.onnx --layer /layer3/relu --preprocess imagenet -o explained.onnx",
    "graftcam export torchvision:resnet50 --extra embed_preprocess -o resnet50.onnx",
    "graftcam export torchvision:vgg16 --weights vgg16.pt --extra guided -o vgg16.onnx",
    "graftcam export plain.onnx --preprocess imagenet --images photos --report out \\",
    "    --verify full -o explained.onnx",
    "graftcam export plain.onnx --extra layercam --extra eigencam -o explained.onnx",
    "graftcam export torchvision:resnet50 --weights resnet50.pt --extra head -o resnet50.onnx",
    "graftcam export yolov8n.onnx --class-offset 4 --activation sigmoid -o explained.onnx",
    "graftcam export --config release.toml",
)
@click.argument("source", required=False)
@click.option("-o", "--to", "path", type=FILE, metavar="FILE", help="The artifact to write.")
@click.option("--config", type=FILE, metavar="FILE",
              help="Export the models of this TOML file, or only the model that SOURCE names; "
                   "artifacts that are up to date are skipped (docs/release.md).")  # fmt: skip
@click.option(
    "--fresh", is_flag=True, help="With --config: also export artifacts that are up to date."
)
@source_options
@score_options
@extra_options
@trace_options
@transform_options
@gate_options
@json_option
def export(
    source: str | None, path: Path | None, config: Path | None, fresh: bool, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Write an artifact from SOURCE: one ONNX file that predicts and explains.

    SOURCE is torchvision:NAME, timm:NAME, package.module:factory, model.pt2 or model.onnx.
    Nothing is written unless the result agrees with PyTorch autograd (for ONNX files: with finite
    differences). The exit code is 0 if it is written and proven (or --verify off), 1 for an error,
    and 3 if nothing is wrong but the verification could not come to its end.
    """
    need_exporter()
    if config is not None:
        if path is not None:
            raise click.UsageError("the file of --config names the artifacts; leave --to out")
        entries = read_config(config, export, source)
        sys.exit(export_all(entries, Lock(config), export, fresh=fresh))
    if source is None or path is None:
        raise click.UsageError("SOURCE and --to are needed, or --config")
    from ..exporter import UnprovenError, Verify
    from ..exporter import export as run
    from ..exporter.report.describe import describe_report
    from ..exporter.source.named import is_file, load_source, read_labels

    transform = {name: options.pop(name) for name in _TRANSFORM}
    given = any(value is not None for value in transform.values())
    shape, labels, name = (options.pop(key) for key in ("shape", "labels", "name"))
    # For a file, which has its own shapes, --shape is the size of the transform's images.
    inner = None if is_file(source) and given else shape
    loaded = load_source(source, options.pop("weights"), inner)
    traced = {name: options.pop(name) for name in _names(TorchExport)}
    traced = {name: value for name, value in traced.items() if value not in (None, ())}
    score = Score(options.pop("score"), **{key: options.pop(key) for key in _names(Score)[1:]})
    # The source's own labels are those of its classes, not of a layer's channels.
    own = None if score.kind == "channel" else loaded.labels
    with Steps() as steps:
        report = run(
            loaded.model, path, loaded.inputs, score=score,
            trace=TorchExport(**traced) if traced else None,
            labels=read_labels(labels) if labels else own, name=name or loaded.name,
            preprocess=_transform(transform, loaded, shape) if given else loaded.preprocess,
            verify=Verify(*(options.pop(key) for key in _VERIFY)), progress=steps, **options,
        )  # fmt: skip
    report.notes.extend(loaded.notes)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else describe_report(report))
    if report.verification.verdict == "unproven":
        sys.exit(UnprovenError.exit_code)


def _names(record: Any) -> list[str]:
    return [entry.name for entry in fields(record)]


def _transform(
    options: Mapping[str, Any], source: Source, shape: Sequence[int] | None
) -> Preprocess:
    """Return the training transform that the options describe.

    A single mean and std stand for all channels.
    """
    preprocess, mean, std, resize = (options[name] for name in _TRANSFORM)
    if (mean is None) != (std is None):
        raise click.UsageError("--mean and --std go together")
    if (preprocess is None) == (mean is None):
        both = "exclude each other" if preprocess else "are missing: --resize needs one of them"
        raise click.UsageError(f"--preprocess and --mean with --std {both}")
    values: Mapping[str, Any] = {} if mean is None else {"mean": mean, "std": std}
    channels = {len(mean or Preprocess().mean), 3}
    shape = shape or _shape_of(source)
    size, layout = source.preprocess.size if source.preprocess else None, "nchw"
    if shape and len(shape) == 3:
        size = shape[1:]
        if shape[0] not in channels and shape[2] in channels:
            size, layout = shape[:2], "nhwc"
    if size is None:
        raise click.UsageError(
            "the size of the images is unknown; give --shape CHANNELS,HEIGHT,WIDTH (or "
            "HEIGHT,WIDTH,CHANNELS)"
        )
    short = [resize] if resize else () if mean is None else [min(size)]
    return Preprocess(size=size, resize=short, layout=layout, **values)


def _shape_of(source: Source) -> Sequence[int] | None:
    """The shape of the source's first input without the batch axis, as far as it is fixed."""
    from ..exporter.release import input_shape
    from ..exporter.source.torch_module import module_of

    if isinstance(source.model, Path):
        return input_shape(source.model)
    return module_of(source.model, source.inputs)[1][0].shape[1:]
