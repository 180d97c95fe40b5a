"""`graftcam explain`: overlays from an artifact and pictures."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Numbers, Setting, example, json_option, meter
from .drawing import Drawing, drawing_options
from .folder import explain_folder, folder_options

if TYPE_CHECKING:
    from ..runtime import Explainer
    from ..runtime.explain.fuse_layers import Fuse

_MANY = 8  # pictures, from which on the progress is that of the pictures


@click.command(
    epilog=example(
        "graftcam explain resnet50.onnx photo.jpg -o out",
        "graftcam explain resnet50.onnx cats/*.jpg -o out --class tabby --class 282",
        "graftcam explain resnet50.onnx photo.jpg -o out --top 3 --panel --style contour",
        "graftcam explain resnet50.onnx photo.jpg -o out --layer layer3 --layer layer4 --fuse max",
        "graftcam explain fcn.onnx street.jpg -o out --class car --box 40,60,200,180",
        "graftcam explain resnet50.onnx photos/ -o out --batch 16",
        "graftcam explain embedding.onnx photo.jpg -o out --score-weights direction.npy",
        "graftcam explain resnet50.onnx photos/ -o out --engine ray --ray-address auto",
    )
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              metavar="DIR", help="Folder for the files.")  # fmt: skip
@click.option("--class", "classes", multiple=True, metavar="ID|LABEL",
              help="Class to explain; repeatable. Default: the best-ranked.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=1, show_default=True,
              help="How many of the best-ranked classes.")  # fmt: skip
@click.option("--method", "methods", multiple=True, default=["gradcam"], show_default=True,
              metavar="ID", help="How the maps are made; repeatable.")  # fmt: skip
@click.option("--option", "settings", multiple=True, type=Setting(),
              help="An option of the methods, such as samples=50; repeatable. It goes to all of "
                   "them that take it.")  # fmt: skip
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Target layer, if the artifact has several; repeatable: their maps are fused.",
)
@click.option("--fuse", type=click.Choice(["mean", "max", "product"]), default="mean",
              show_default=True, help="How the maps of several layers become one.")  # fmt: skip
@click.option("--augment", is_flag=True,
              help="Average the maps over six changed copies of the picture (flipped, scaled "
                   "values).")  # fmt: skip
@click.option("--region", type=click.Path(path_type=Path), metavar="MASK",
              help="Segmentation: explain the class in the part of the picture (or of the output) "
                   "that is not black in this PNG.")  # fmt: skip
@click.option("--box", type=Numbers(int, 4), metavar="X0,Y0,X1,Y1",
              help="Segmentation: explain the class inside this box, in the picture's pixels; with "
                   "--region, in the part of the region inside the box.")  # fmt: skip
@click.option("--score-weights", type=click.Path(path_type=Path), metavar="FILE.npy",
              help="Linear scores: weights of the output, [K, *output] or [*output], instead of "
                   "classes.")  # fmt: skip
@drawing_options
@click.option("--provider", metavar="NAME", help="ONNX Runtime provider: cuda or cpu.")
@click.option("--threads", type=click.IntRange(1), metavar="N",
              help="Threads within one operator. Default: ONNX Runtime's choice.")  # fmt: skip
@folder_options
@json_option
def explain(
    model: Path, images: tuple[Path, ...], folder: Path, classes: tuple[str, ...], top: int,
    methods: tuple[str, ...], settings: tuple[tuple[str, Any], ...], layers: tuple[str, ...],
    fuse: Fuse, augment: bool, region: Path | None, box: list[int] | None,
    score_weights: Path | None, drawing: Drawing, provider: str | None, threads: int | None,
    as_json: bool, **of_folder: Any,
) -> None:  # fmt: skip
    """Write pictures that show where MODEL saw its classes in the IMAGES.

    One folder instead of pictures: all pictures in it and below are explained. Overlays go to
    DIR/overlays, a line for each picture to DIR/results.jsonl. The same command goes on where an
    earlier run stopped. A picture that fails is recorded and stops nothing; the exit code is 1
    then.
    """
    from ..runtime.methods.dispatch import share_options

    options = dict(settings)
    share_options(methods, options)  # here, lest one be taken for an argument of our own
    question: dict[str, Any] = {
        "top": top,
        "layer": list(layers) or None,
        "fuse": fuse,
        "augment": augment,
    }
    pictures = next((path for path in images if path.is_dir()), None)
    if pictures is not None:
        if len(images) > 1 or region or box or score_weights:
            raise click.UsageError(
                "a folder is explained alone, without --region, --box and --score-weights"
            )
        if len(methods) != 1 or drawing.panel:
            raise click.UsageError("a folder is explained by one --method, without --panel")
        question |= {"classes": list(classes) or None, "method": methods[0], **options}
        explain_folder(
            model, pictures, folder, question, drawing.to_dict(), provider=provider,
            threads=threads, as_json=as_json, **of_folder,
        )  # fmt: skip
        return
    if any(of_folder.values()):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in of_folder)
        raise click.UsageError(f"{names} are for a folder of pictures")
    from ..runtime import Explainer
    from ..runtime.inputs.region import mask_of
    from ..runtime.inputs.score_weights import read_weights
    from ..runtime.output.text import describe_explanation

    explainer = Explainer(model, provider, threads)
    question |= {"classes": [_class_of(explainer, text) for text in classes] or None, **options}
    question["score_weights"] = None if score_weights is None else read_weights(score_weights)
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    with _progress(images) as paths:
        for path in paths:
            mask = mask_of(path, region, box)
            progress = None if len(images) >= _MANY else meter(path.name)
            found = explainer.compare(path, methods, region=mask, progress=progress, **question)
            for one, saved in zip(found, drawing.write(found, folder), strict=True):
                files = [str(file) for file in saved]
                rows.append({**one.to_dict(), "image": str(path), "files": files})
                texts.append(describe_explanation(path, one, saved))
    click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(texts))
    click.echo(f"ran on {explainer.provider}", err=True)


def _class_of(explainer: Explainer, text: str) -> int | str:
    """A label if the artifact has it, else an id if it is a number."""
    if explainer.spec.labels and text in explainer.spec.labels:
        return text
    return int(text) if text.removeprefix("-").isdigit() else text


def _progress(paths: Sequence[Path]) -> contextlib.AbstractContextManager[Iterable[Path]]:
    """The paths, with a progress bar on stderr if there are many and someone is watching."""
    if len(paths) < _MANY or not sys.stderr.isatty():
        return contextlib.nullcontext(paths)
    return click.progressbar(paths, label="explaining", file=sys.stderr)
