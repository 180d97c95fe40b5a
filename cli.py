"""The command line: parse, call, print. Also ``python -m graftcam.cli``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .runtime.errors import GraftcamError

if TYPE_CHECKING:
    from .exporter.source import Source
    from .runtime import Explainer


class _Group(click.Group):
    """A group that turns the project's own errors into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GraftcamError as error:
            raise click.ClickException(str(error)) from error


def _example(*lines: str) -> str:
    r"""An epilog of commands to copy; ``\\b`` keeps click from joining them."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class _Numbers(click.ParamType):
    """Comma-separated numbers."""

    name = "N,N,..."

    def __init__(self, kind: Callable[[str], float], count: int | None = None) -> None:
        self.kind = kind
        self.count = count

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            numbers = [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is no comma-separated list of numbers", param, ctx)
        if self.count is not None and len(numbers) != self.count:
            self.fail(f"{value!r} has {len(numbers)} numbers, not {self.count}", param, ctx)
        return numbers


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)


def _source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--shape", type=_Numbers(int), help="Input shape without the batch axis."),
        click.option(
            "--weights", metavar="FILE|ENUM",
            help="State dict (read with weights_only=True) or torchvision weights enum.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_example(
        "graftcam export torchvision:resnet50 --weights resnet50.pt -o resnet50.onnx",
        "graftcam explain resnet50.onnx photo.jpg -o out",
        "graftcam demo",
    ),
)
@click.version_option(package_name="graftcam")
def main() -> None:
    """Grad-CAM grafted into your ONNX model: one file that predicts and explains."""


@main.command(
    epilog=_example(
        "graftcam export torchvision:resnet50 --weights resnet50.pt -o resnet50.onnx",
        "graftcam export my.models:build --weights my.pt --shape 3,96,96 --labels names.txt \\",
        "    --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --activation sigmoid -o my.onnx",
        "graftcam export plain.onnx --layer /layer3/relu -o explained.onnx",
    )
)
@click.argument("source")
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), required=True,
              metavar="FILE", help="The artifact to write.")  # fmt: skip
@_source_options
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="Target layer; repeatable. Default: chosen automatically.")  # fmt: skip
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE",
              help="Class names: one a line, or JSON.")  # fmt: skip
@click.option("--opset", type=click.IntRange(18), default=18, show_default=True,
              help="ONNX opset of the artifact.")  # fmt: skip
@click.option("--score", type=click.Choice(["logit", "output"]), default="logit", show_default=True,
              help="Differentiate before or after a trailing Softmax or Sigmoid.")  # fmt: skip
@click.option("--activation", type=click.Choice(["softmax", "sigmoid", "none"]),
              help="What turns logits into probabilities, if not in the graph.")  # fmt: skip
@click.option("--mean", type=_Numbers(float), help="Normalisation, pixels scaled to [0, 1].")
@click.option("--std", type=_Numbers(float), help="Normalisation, pixels scaled to [0, 1].")
@click.option("--resize", type=int, metavar="PIXELS",
              help="Shorter side before the centre crop, with --mean and --std. "
                   "Default: the input's size.")  # fmt: skip
@click.option("--static-batch", is_flag=True, help="Fix the batch axis at 1.")
@click.option("--dynamic-size", is_flag=True,
              help="Leave height and width open, for models that take any size.")  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Do not compare with PyTorch autograd.")
@_json_option
def export(
    source: str, path: Path, weights: str | None, shape: list[int] | None, layers: tuple[str, ...],
    labels: Path | None, opset: int, score: Any, activation: Any, mean: list[float] | None,
    std: list[float] | None, resize: int | None, static_batch: bool, dynamic_size: bool,
    no_verify: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write an artifact from SOURCE: one ONNX file that predicts and explains.

    SOURCE is torchvision:NAME, timm:NAME, package.module:factory, model.pt2 or model.onnx.
    Nothing is written unless the result agrees with PyTorch autograd (for ONNX files: with finite
    differences).
    """
    _need_exporter()
    from .exporter import export as run
    from .exporter.describe import describe_report
    from .exporter.source import load_source, read_labels

    loaded = load_source(source, weights, shape)
    names = read_labels(labels) if labels else loaded.labels
    with _Steps() as steps:
        report = run(
            loaded.model, path, loaded.inputs, layers=layers, score=score, activation=activation,
            labels=names, preprocess=_transform(loaded, shape, mean, std, resize), opset=opset,
            dynamic_batch=not static_batch, dynamic_size=dynamic_size, verify=not no_verify,
            name=loaded.name, progress=steps,
        )  # fmt: skip
    report.notes.extend(loaded.notes)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else describe_report(report))


def _need_exporter() -> None:
    """Say how to get the exporter's packages where they are missing."""
    missing = [
        n for n in ("torch", "onnx", "onnx_ir", "onnxscript") if not importlib.util.find_spec(n)
    ]
    if missing:
        raise GraftcamError(
            f'{", ".join(missing)} missing; exporting needs: pip install "graftcam[cpu,export]"'
        )


def _transform(
    source: Source, shape: list[int] | None, mean: list[float] | None, std: list[float] | None,
    resize: int | None,
) -> Any:  # fmt: skip
    """The source's own transform, or one made from --mean, --std and --resize."""
    from .runtime.spec import Preprocess

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


class _Steps:
    """Prints each step to stderr as it begins, and how long it took."""

    def __enter__(self) -> _Steps:
        self._since: float | None = None
        return self

    def __call__(self, step: str) -> None:
        self._finish()
        click.echo(f"{step} ... ", err=True, nl=False)
        self._since = time.perf_counter()

    def _finish(self) -> None:
        if self._since is not None:
            click.echo(f"{time.perf_counter() - self._since:.1f} s", err=True)
            self._since = None

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._since is not None:
            click.echo("failed", err=True)
        else:
            self._finish()


@main.command(
    epilog=_example(
        "graftcam layers torchvision:mobilenet_v3_large", "graftcam layers model.onnx --all"
    )
)
@click.argument("source")
@_source_options
@click.option("--all", "everything", is_flag=True, help="Show unusable layers too.")
@_json_option
def layers(
    source: str, weights: str | None, shape: list[int] | None, everything: bool, as_json: bool
) -> None:
    """List the layers of SOURCE that can be explained, the automatic choice first."""
    _need_exporter()
    from .exporter import candidates_of
    from .exporter.describe import describe_candidates
    from .exporter.source import load_source

    loaded = load_source(source, weights, shape)
    found = candidates_of(loaded.model, loaded.inputs)
    if as_json:
        click.echo(json.dumps([candidate.__dict__ for candidate in found], indent=2))
        return
    shown = found if everything else [candidate for candidate in found if candidate.usable]
    click.echo(describe_candidates(shown) if shown else "no layer can be explained (see --all)")


@main.command(
    epilog=_example(
        "graftcam explain resnet50.onnx photo.jpg -o out",
        "graftcam explain resnet50.onnx cats/*.jpg -o out --class tabby --class 282",
        "graftcam explain fcn.onnx street.jpg -o out --class car --box 40,60,200,180",
    )
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              metavar="DIR", help="Folder for the overlays.")  # fmt: skip
@click.option("--class", "classes", multiple=True, metavar="ID|LABEL",
              help="Class to explain; repeatable. Default: the best-ranked.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=1, show_default=True,
              help="How many of the best-ranked classes.")  # fmt: skip
@click.option("--layer", metavar="NAME", help="Target layer, if the artifact has several.")
@click.option("--region", type=click.Path(path_type=Path), metavar="MASK",
              help="Segmentation: explain the class in the part of the picture (or of the output) "
                   "that is not black in this PNG.")  # fmt: skip
@click.option("--box", type=_Numbers(int, 4), metavar="X0,Y0,X1,Y1",
              help="Segmentation: explain the class inside this box, in the picture's pixels; with "
                   "--region, in the part of the region inside the box.")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Opacity of the heatmap where it is strongest.")  # fmt: skip
@click.option("--colormap", default="jet", show_default=True, help="OpenCV colour map.")
@click.option("--provider", metavar="NAME", help="ONNX Runtime provider: cuda or cpu.")
@_json_option
def explain(
    model: Path, images: tuple[Path, ...], folder: Path, classes: tuple[str, ...], top: int,
    layer: str | None, region: Path | None, box: list[int] | None, alpha: float, colormap: str,
    provider: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Write overlays that show where MODEL saw its classes in the IMAGES."""
    from .runtime import Explainer
    from .runtime.describe import describe_explanation
    from .runtime.region import mask_of

    explainer = Explainer(model, provider)
    wanted = [_class_of(explainer, text) for text in classes] or None
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    with _progress(images) as paths:
        for path in paths:
            mask = mask_of(path, region, box)
            found = explainer.explain(path, wanted, top, layer, region=mask)
            saved = found.save(folder, alpha=alpha, colormap=colormap)
            files = [str(file) for file in saved]
            rows.append({**found.to_dict(), "image": str(path), "files": files})
            texts.append(describe_explanation(path, found, saved))
    click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(texts))
    click.echo(f"ran on {explainer.provider}", err=True)


def _class_of(explainer: Explainer, text: str) -> int | str:
    """A label if the artifact has it, else an id if it is a number."""
    if explainer.spec.labels and text in explainer.spec.labels:
        return text
    return int(text) if text.removeprefix("-").isdigit() else text


def _progress(paths: Sequence[Path]) -> contextlib.AbstractContextManager[Iterable[Path]]:
    """The paths, with a progress bar on stderr if there are many and someone is watching."""
    if len(paths) < 8 or not sys.stderr.isatty():
        return contextlib.nullcontext(paths)
    return click.progressbar(paths, label="explaining", file=sys.stderr)


@main.command(epilog=_example("graftcam inspect resnet50.onnx"))
@click.argument("model", type=click.Path(path_type=Path))
@_json_option
def inspect(model: Path, as_json: bool) -> None:
    """Show what an artifact holds: layers, score, inputs and outputs, its verification."""
    from .runtime import Explainer
    from .runtime.describe import describe_spec

    spec = Explainer(model, "cpu").spec
    click.echo(json.dumps(json.loads(spec.to_json()), indent=2) if as_json else describe_spec(spec))


@main.command(epilog=_example("graftcam ops", "graftcam ops --json"))
@click.option("--markdown", "as_markdown", is_flag=True, help="Print docs/operators.md.")
@_json_option
def ops(as_markdown: bool, as_json: bool) -> None:
    """List the ONNX operators: differentiated, without derivative, or refused and why."""
    _need_exporter()
    from .exporter.vjp import table
    from .exporter.vjp.listing import markdown, summary

    rows = {
        name: {"since": entry.since, "state": entry.state, "adjoint": summary(entry)}
        for name, entry in table().items()
    }
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif as_markdown:
        click.echo(markdown(), nl=False)
    else:
        width = max(map(len, rows))
        click.echo("\n".join(f"{name:<{width}}  {row['adjoint']}" for name, row in rows.items()))


@main.command(epilog=_example("graftcam demo", "graftcam demo -o /tmp/demo"))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), default="out/demo",
              show_default=True, metavar="DIR", help="Folder to write to.")  # fmt: skip
@_json_option
def demo(folder: Path, as_json: bool) -> None:
    """Export the bundled digit model, verify it and explain the bundled pictures."""
    _need_exporter()
    from .demo.run import run
    from .exporter.describe import describe_report

    with _Steps() as steps:
        summary = run(folder, steps)
    if as_json:
        click.echo(json.dumps(summary.to_dict(), indent=2))
        return
    click.echo(describe_report(summary.report))
    for row in summary.rows:
        click.echo(f"  {row}")
    click.echo(summary.pointing)
    click.echo(f"overlays: {folder / 'overview.png'} and {len(summary.files)} more in {folder}")


if __name__ == "__main__":
    main(prog_name="graftcam")
