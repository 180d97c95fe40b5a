"""`graftcam export`: write an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ..runtime.spec import ScoreKind
from .common import Numbers, Steps, example, json_option, need_exporter, source_options

if TYPE_CHECKING:
    from ..exporter.source import Source


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
    )
)
@click.argument("source")
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), required=True,
              metavar="FILE", help="The artifact to write.")  # fmt: skip
@source_options
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="Target layer; repeatable. Default: chosen automatically.")  # fmt: skip
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE",
              help="Class names: one a line, or JSON.")  # fmt: skip
@click.option("--opset", type=click.IntRange(18), default=18, show_default=True,
              help="ONNX opset of the artifact.")  # fmt: skip
@click.option("--score", type=click.Choice(get_args(ScoreKind)), default="logit",
              show_default=True,
              help="What is explained: the logit; the output as it is; the probability or its "
                   "logarithm; linear: the inner product with weights to be fed; channel: the mean "
                   "of a channel of the first --layer.")  # fmt: skip
@click.option("--scored-output", metavar="NAME",
              help="Output to explain, if the model has several. Default: the first that holds "
                   "class scores.")  # fmt: skip
@click.option("--class-axis", type=int, default=1, show_default=True, metavar="AXIS",
              help="Axis of the output that the classes lie along.")  # fmt: skip
@click.option("--class-offset", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Entries of that axis before the first class, such as a box's 4.")  # fmt: skip
@click.option("--activation", type=click.Choice(["softmax", "sigmoid", "none"]),
              help="What turns logits into probabilities, if not in the graph.")  # fmt: skip
@click.option("--mean", type=Numbers(float), help="Normalisation, pixels scaled to [0, 1].")
@click.option("--std", type=Numbers(float), help="Normalisation, pixels scaled to [0, 1].")
@click.option("--resize", type=int, metavar="PIXELS",
              help="Shorter side before the centre crop, with --mean and --std. "
                   "Default: the input's size.")  # fmt: skip
@click.option("--static-batch", is_flag=True, help="Fix the batch axis at 1.")
@click.option("--dynamic-size", is_flag=True,
              help="Leave height and width open, for models that take any size.")  # fmt: skip
@click.option("--profile", type=click.Choice(["default", "web", "cuda"]), default="default",
              show_default=True, help="Where it is to run: anywhere, in browsers (WebGPU; every "
                                      "input must be fed), or with CUDA graphs.")  # fmt: skip
@click.option("--embed-preprocess", is_flag=True,
              help="Put the training transform into the graph: it then takes uint8 RGB pictures "
                   "[N, height, width, 3] of any size.")  # fmt: skip
@click.option("--input-gradients", is_flag=True,
              help="Also give the gradient of the input: for saliency, SmoothGrad and integrated "
                   "gradients.")  # fmt: skip
@click.option("--guided", is_flag=True,
              help="Also give guided backpropagation and the deconvnet, and --input-gradients "
                   "with them.")  # fmt: skip
@click.option("--method", "methods", multiple=True, metavar="NAME",
              help="Further heatmap to compute in the graph, such as layercam (docs/methods.md); "
                   "repeatable. The runtime makes them of any artifact.")  # fmt: skip
@click.option("--head", is_flag=True,
              help="Also write FILE.head.onnx, the model from the layer to the score, for methods "
                   "that rerun it (ablationcam, reciprocam, shapleycam).")  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Do not compare with PyTorch autograd.")
@click.option("--full", is_flag=True,
              help="Verify as `graftcam verify` does: every optimisation level of ONNX Runtime, "
                   "several batch sizes and numbers of classes, the same bytes again.")  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of pictures to verify on beside random inputs, and to show in the "
                   "report.")  # fmt: skip
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for a page to look at (index.html) and report.json; written even if "
                   "the verification fails, to show why.")  # fmt: skip
@json_option
def export(
    source: str, path: Path, weights: str | None, shape: list[int] | None, layers: tuple[str, ...],
    labels: Path | None, opset: int, score: Any, scored_output: str | None, class_axis: int,
    class_offset: int, activation: Any, mean: list[float] | None, std: list[float] | None,
    resize: int | None, static_batch: bool, dynamic_size: bool, profile: Any,
    embed_preprocess: bool, input_gradients: bool, guided: bool, methods: tuple[str, ...],
    head: bool, no_verify: bool, full: bool, images: Path | None, page: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Write an artifact from SOURCE: one ONNX file that predicts and explains.

    SOURCE is torchvision:NAME, timm:NAME, package.module:factory, model.pt2 or model.onnx.
    Nothing is written unless the result agrees with PyTorch autograd (for ONNX files: with finite
    differences).
    """
    if no_verify and full:
        raise click.UsageError("--no-verify and --full exclude each other")
    need_exporter()
    from ..exporter import export as run
    from ..exporter.describe import describe_report
    from ..exporter.source import load_source, read_labels

    loaded = load_source(source, weights, shape)
    # The source's own labels are those of its classes, not of a layer's channels.
    names = read_labels(labels) if labels else None if score == "channel" else loaded.labels
    with Steps() as steps:
        report = run(
            loaded.model, path, loaded.inputs, layers=layers, output=scored_output, score=score,
            activation=activation, class_axis=class_axis, class_offset=class_offset, labels=names,
            preprocess=_transform(loaded, shape, mean, std, resize), opset=opset,
            dynamic_batch=not static_batch, dynamic_size=dynamic_size,
            verify="full" if full else not no_verify, images=images, report=page,
            name=loaded.name, profile=profile, embed_preprocess=embed_preprocess,
            input_gradients=input_gradients, guided=guided, methods=methods, head=head,
            progress=steps,
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
