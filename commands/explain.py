"""`graftcam explain` draws overlays from an artifact and images."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option

from .common import Numbers, Setting, command, meter, progress_bar
from .drawing import Drawing, drawing_options
from .folder import explain_folder, folder_options
from .further_inputs import input_option
from .options import (
    FILE,
    class_option,
    explained_output_option,
    group,
    json_option,
    provider_option,
    threads_option,
    to_option,
)

if TYPE_CHECKING:
    from ..runtime import Request
    from ..runtime.explain.fuse_layers import Fuse

_MANY = 8  # with this many images, the progress counts images instead of runs


_request_options = group(
    class_option,
    option("--top", type=click.IntRange(1), default=1, show_default=True,
           help="Number of best-ranked classes to explain."),
    explained_output_option,
    option("--method", "methods", multiple=True, default=["gradcam"], show_default=True,
           metavar="ID", help="Method that makes the maps; repeatable."),
    option("--option", "settings", multiple=True, type=Setting(),
           help="An option of the methods, such as samples=50; repeatable. Every method that takes "
                "it gets it."),
    option("--layer", "layers", multiple=True, metavar="NAME",
           help="Target layer, if the artifact has several; repeatable: their maps are fused."),
    option("--fuse", type=click.Choice(["mean", "max", "product"]), default="mean",
           show_default=True, help="How the maps of several layers become one."),
    option("--augment", multiple=True, type=click.Choice(["flip", "scale"]),
           help="Average the maps over changed copies of the image: flipped, or with scaled "
                "values; repeatable."),
    option("--region", type=FILE, metavar="MASK",
           help="Segmentation: explain the class in the part of the image (or of the output) that "
                "is not black in this PNG."),
    option("--box", type=Numbers(int, 4), metavar="X0,Y0,X1,Y1",
           help="Segmentation: explain the class inside this box, in the image's pixels; with "
                "--region, in the part of the region inside the box."),
    input_option,
    option("--over", metavar="INPUT",
           help="The input that maps are drawn over, if the model has several images. Default: "
                "the one that the layer looks at."),
    option("--tokens", type=FILE, metavar="FILE",
           help="Texts of token ids: vocab.txt with a text on each line, or vocab.json. Default: "
                "the ids."),
    option("--score-weights", type=FILE, metavar="FILE.npy",
           help="Linear scores: weights of the output, [K, *output] or [*output], instead of "
                "classes."),
)  # fmt: skip


@command(
    "graftcam explain resnet50.onnx photo.jpg -o out",
    "graftcam explain resnet50.onnx cats/*.jpg -o out --class tabby --class 282",
    "graftcam explain resnet50.onnx photo.jpg -o out --top 3 --panel --style contour",
    "graftcam explain resnet50.onnx photo.jpg -o out --layer layer3 --layer layer4 --fuse max",
    "graftcam explain fcn.onnx street.jpg -o out --class car --box 40,60,200,180",
    "graftcam explain resnet50.onnx photos/ -o out --batch 16",
    "graftcam explain embedding.onnx photo.jpg -o out --score-weights direction.npy",
    "graftcam explain resnet50.onnx photos/ -o out --engine ray --ray-address auto",
    "graftcam explain ecg.onnx patient.npy -o out --panel",
    "graftcam explain speech.onnx word.wav -o out --style contour",
    "graftcam explain tumour.onnx scan.nii.gz -o out",
    "graftcam explain skin.onnx mole.jpg -o out --input age=54 --input site=0,0,1,0",
    "graftcam explain change.onnx before.jpg -o out --input after=after.jpg --over after",
    "graftcam explain faces.onnx photo.jpg -o out --output age --class 31",
    "graftcam explain bert.onnx ids.npz -o out --tokens vocab.txt --format html",
)
@click.argument("model", type=FILE)
@click.argument("images", nargs=-1, required=True, type=FILE)
@to_option("folder", "DIR", "Folder for the files.")
@_request_options
@drawing_options
@provider_option
@threads_option
@folder_options
@json_option
def explain(
    model: Path, images: tuple[Path, ...], folder: Path, classes: tuple[str, ...], top: int,
    output: str | None, methods: tuple[str, ...], settings: tuple[tuple[str, Any], ...],
    layers: tuple[str, ...], fuse: Fuse, augment: tuple[str, ...],
    region: Path | None, box: list[int] | None,
    inputs: dict[str, Any], over: str | None, tokens: Path | None,
    score_weights: Path | None, drawing: Drawing, provider: str | None, threads: int | None,
    as_json: bool, **of_folder: Any,
) -> None:  # fmt: skip
    """Write images that show where MODEL saw its classes in the IMAGES.

    IMAGES are photographs, if MODEL stores how to prepare them, or files of what it takes itself:
    arrays (.npy; .npz with the model's inputs by name), sound (.wav) or scans (.nii, .nii.gz).

    If IMAGES is one folder, all images in it and its subfolders are explained. Overlays are written
    to DIR/overlays, and one line for each image to DIR/results.jsonl. After an interruption, the
    same command continues. An image that fails is recorded and stops nothing; the exit code is then
    1.
    """
    source = next((path for path in images if path.is_dir()), None)
    # A folder's images may be explained by processes that run elsewhere.
    absolute = partial(_absolute, source is not None)
    further = {name: absolute(value) for name, value in inputs.items()}
    request: Request = {
        "classes": list(classes) or None,
        "top": top,
        "options": dict(settings),
        "layer": list(layers) or None,
        "fuse": fuse,
        "augment": list(augment),
        "region": absolute(region),
        "box": box,
        "score_weights": absolute(score_weights),
    }
    # A folder's table says what was asked for; these are in it only if they were.
    if further:
        request["inputs"] = further
    if over:
        request["over"] = over
    if output:
        request["output"] = output
    if tokens:
        request["tokens"] = absolute(tokens)
    if source is not None:
        if len(images) > 1:
            raise click.UsageError("a folder must be the only one of the IMAGES")
        if len(methods) != 1 or drawing.panel:
            raise click.UsageError("a folder takes one --method and no --panel")
        request["method"] = methods[0]
        from ..runtime.tools.jobs.settings import Settings

        artifact, photos, to = (str(path.resolve()) for path in (model, source, folder))
        batch = of_folder.pop("batch") or Settings.batch
        look = drawing.to_dict()
        job = Settings(artifact, photos, to, request, look, batch, provider, threads)
        explain_folder(job, as_json=as_json, **of_folder)
    given = [f"--{name.replace('_', '-')}" for name, value in of_folder.items() if value]
    if given:
        raise click.UsageError(f"only a folder of images takes {', '.join(given)}")
    from ..runtime import Explainer
    from ..runtime.inputs.names import Names
    from ..runtime.output.text import describe_explanation

    explainer, names = Explainer(model, provider, threads), Names()
    each, many = list(dict.fromkeys(methods)), len(images) >= _MANY
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    with progress_bar("explaining", hidden=not many) as bar:
        for count, path in enumerate(images, 1):
            request["progress"] = None if many else meter(path.name)
            for example in explainer.read_file(path, further):
                name = names.distinct(example.name)
                compared = explainer.compare(example, each, **{**request, "inputs": None})
                found = [replace(one, name=name) for one in compared]
                for one, saved in zip(found, drawing.write(found, folder), strict=True):
                    files = [str(file) for file in saved]
                    rows.append({**one.to_dict(), "image": str(path), "files": files})
                    texts.append(describe_explanation(path, one, saved, colour=colour))
            bar(count, len(images))
    click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(texts))
    click.echo(f"ran on {explainer.provider}", err=True)


def _absolute(needed: bool, value: Any) -> Any:
    """Return a file as text, absolute if processes elsewhere may open it; numbers as they are."""
    if not isinstance(value, (str, Path)):
        return value
    return str(Path(value).absolute() if needed else value)
