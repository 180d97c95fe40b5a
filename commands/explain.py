"""`graftcam explain` draws overlays from an artifact, or a model to make one of, and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option
from click.core import ParameterSource

from ..runtime.json_text import write_json
from ..runtime.methods.fusion import FUSES, Fuse
from .artifact import Wanted, artifact_of, model_options
from .boxes import BOXES, box_options, explain_detector, refuse_options, request_of_boxes
from .clipboard import pasted
from .common import Setting, command, meter, note, progress_bar, say
from .completes import completes
from .drawing import Drawing, drawing_options
from .folder import explain_folder, folder_options
from .further_inputs import input_option
from .guarded import TextOrFile
from .opening import open_option, open_written
from .options import (
    FILE,
    LAYER_NAMES,
    class_option,
    explained_output_option,
    json_option,
    max_pixels_option,
    provider_option,
    threads_option,
    to_option,
)
from .sections import INPUTS, METHOD, SUBJECT, under
from .terminal import coloured
from .video_options import VideoSettings, video_options, videos_among
from .words import bank_from, say_unchecked, words_options

if TYPE_CHECKING:
    from ..runtime import Explainer, Request

_MANY = 8  # with this many images, the progress counts images instead of runs


_subject_options = under(
    SUBJECT,
    class_option,
    option("--top", type=click.IntRange(1), default=1, show_default=True, metavar="N",
           help="Number of best-ranked classes to explain, without --class."),
    explained_output_option,
    option("--score-weights", type=FILE, metavar="FILE.npy",
           help="Linear scores: weights of the output, [K, *output] or [*output], instead of "
                "classes."),
)  # fmt: skip
_method_options = under(
    METHOD,
    option("--method", "methods", multiple=True, metavar="ID",
           shell_complete=completes("method"),
           help="Method that makes the maps; repeatable. Default: gradcam; of detectors the one "
                "that the artifact computes."),
    option("--option", "settings", multiple=True, type=Setting(),
           help="An option of the methods, such as samples=50; repeatable. Every method that takes "
                "it gets it."),
    option("--layer", "layers", multiple=True, metavar="NAME",
           shell_complete=completes("layer"),
           help=f"Target layer: {LAYER_NAMES}; repeatable: their maps are fused."),
    option("--fuse", type=click.Choice(FUSES), default="mean",
           show_default=True,
           help="How the maps of several --layer become one: their mean, the largest, the product, "
                "or refine (RefineCAM): the product of maps stretched from 0 to 1."),
    option("--augment", multiple=True, type=click.Choice(["flip", "scale"]),
           help="Average the maps over changed copies of the image: flipped, or with scaled "
                "values; repeatable."),
)  # fmt: skip
_input_options = under(
    INPUTS,
    input_option,
    option("--over", metavar="INPUT",
           help="The input that maps are drawn over, if the model has several images. Default: "
                "the one that the layer looks at."),
    option("--tokens", type=FILE, metavar="FILE",
           help="Texts of token ids: vocab.txt with a text on each line, or vocab.json. Default: "
                "the ids."),
)  # fmt: skip
_region_options = under(
    BOXES,
    box_options,
    option("--region", type=FILE, metavar="MASK",
           help="Of a segmentation: explain the class in the part of the image (or of the output) "
                "that is not black in this PNG."),
)  # fmt: skip


@command(
    "graftcam explain torchvision:resnet50 photo.jpg -o out",
    "graftcam explain plain.onnx photo.jpg -o out --preprocess imagenet",
    "graftcam explain resnet50.onnx photo.jpg -o out",
    "graftcam explain resnet50.onnx cats/*.jpg -o out --class tabby --class 282",
    "graftcam explain resnet50.onnx photo.jpg -o out --top 3 --panel --style contour",
    "graftcam explain resnet50.onnx photo.jpg -o out --layer layer3 --layer layer4 --fuse refine",
    "graftcam explain fcn.onnx street.jpg -o out --class car --box 40,60,200,180",
    "graftcam explain resnet50.onnx photos/ -o out --batch 16",
    "graftcam explain embedding.onnx photo.jpg -o out --score-weights direction.npy",
    "graftcam explain clip.onnx photo.jpg -o out --bank bank.npz --prompt dog --prompt cat",
    "graftcam explain clip.onnx photo.jpg -o out --text-encoder text.onnx \\",
    "    --tokenizer tokenizer.json --prompt 'a photo of a dog' --prompt 'a photo of a cat'",
    "graftcam explain resnet50.onnx photos/ -o out --engine ray --ray-address auto",
    "graftcam explain ecg.onnx patient.npy -o out --panel",
    "graftcam explain speech.onnx word.wav -o out --style contour",
    "graftcam explain tumour.onnx scan.nii.gz -o out",
    "graftcam explain skin.onnx mole.jpg -o out --input age=54 --input site=0,0,1,0",
    "graftcam explain change.onnx before.jpg -o out --input after=after.jpg --over after",
    "graftcam explain faces.onnx photo.jpg -o out --output age --class 31",
    "graftcam explain resnet50.onnx clip.mp4 -o out --class tabby --start 1:30 --smooth 0.6",
    "graftcam explain resnet50.onnx 0",
    "graftcam explain resnet50.onnx clipboard -o out --open",
    "graftcam explain yolo.onnx street.jpg",
    "graftcam explain yolo.onnx street.jpg -o why.png --box 2 --why edges",
    "graftcam explain yolo.onnx street.jpg -o out --class car --conf 0.1 --method layercam",
    "graftcam explain bert.onnx ids.npz -o out --tokens vocab.txt --format html",
)
@click.argument("source", type=TextOrFile(), shell_complete=completes("source"))
@click.argument("images", nargs=-1, required=True, type=FILE)
@to_option("folder", "DIR", "Folder for the files. A video: or the file to write. Detectors: or "
           "the picture to write; by default NAME-boxes.png in the current folder.",
           folder=None, required=False)  # fmt: skip
@open_option
@_subject_options
@_method_options
@model_options
@drawing_options
@_input_options
@_region_options
@words_options
@video_options
@folder_options
@max_pixels_option
@provider_option
@threads_option
@json_option
def explain(
    source: str, images: tuple[Path, ...], folder: Path | None, weights: str | None,
    shapes: dict[str, list[int | None]], labels: str | None, preprocess: str | None,
    classes: tuple[str, ...], top: int,
    output: str | None, methods: tuple[str, ...], settings: tuple[tuple[str, Any], ...],
    layers: tuple[str, ...], fuse: Fuse, augment: tuple[str, ...],
    region: Path | None, boxes: tuple[list[int], ...],
    inputs: dict[str, Any], over: str | None, tokens: Path | None,
    score_weights: Path | None, prompts: tuple[str, ...], bank: Path | None,
    text_encoder: Path | None, tokenizer: Path | None, templates: tuple[str, ...],
    length: int | None, pad: str | None, box_index: tuple[int, ...], conf: float | None,
    iou: float | None, why: tuple[str, ...], limit: int | None, near_miss: bool,
    every: int | None, start: float | None, end: float | None, smooth: float | None,
    window: bool | None, drawing: Drawing,
    max_pixels: int, provider: str | None, threads: int | None, opened: bool, as_json: bool,
    **of_folder: Any,
) -> None:  # fmt: skip
    """Write images that show where a model saw its classes in the IMAGES.

    SOURCE is an artifact that `graftcam export` wrote; or an ONNX file, torchvision:NAME or
    timm:NAME, of which one is made, verified and kept in the cache (see `graftcam cache`).

    IMAGES are photographs, if the artifact stores how to prepare them (or with --preprocess), or
    files of what the model takes itself: arrays (.npy; .npz with the model's inputs by name), sound
    (.wav) or scans (.nii, .nii.gz). `clipboard` is the image that was copied.

    IMAGES may also be one folder, videos, or the number of a camera. Of a detector each box is
    explained. The sections below say how.
    """
    _refuse_unused(classes, layers, prompts)
    called = pasted(images)
    images = tuple(file for file, _ in called)
    photos = next((path for path in images if path.is_dir()), None)
    video, is_video = VideoSettings(every, start, end, smooth, window), videos_among(images)
    # A folder's images may be explained by processes that run elsewhere.
    absolute = partial(_absolute, photos is not None)
    further = {name: absolute(value) for name, value in inputs.items()}
    request: Request = {
        "classes": list(classes) or None,
        "top": top,
        "options": dict(settings),
        "layer": list(layers) or None,
        "fuse": fuse,
        "augment": list(augment),
        "region": absolute(region),
        "box": boxes[0] if boxes else None,
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
    if prompts:
        request["prompts"] = list(prompts)
    if photos is not None and text_encoder is not None:
        raise click.UsageError(
            "a folder takes no --text-encoder; encode the prompts once by `graftcam prompts`, and "
            "give --bank"
        )
    wanted = Wanted(
        weights, shapes or None, labels, layers, output, methods, linear=score_weights is not None,
        texts=bool(prompts or bank or text_encoder),
    )  # fmt: skip
    named_bank = bank_from(prompts, bank, text_encoder, tokenizer, templates, length, pad)
    if named_bank is not None:
        request["bank"] = absolute(named_bank)
    if is_video and len(methods) > 1:
        raise click.UsageError("a video takes one --method")
    if not is_video and video.given:
        raise click.UsageError(f"only a video or a camera takes {', '.join(video.given)}")
    if photos is None:
        _refuse_of_folder(of_folder, "batch" if is_video else "")
    elif len(images) > 1:
        raise click.UsageError("a folder must be the only one of the IMAGES")
    elif len(methods) > 1 or drawing.panel:
        raise click.UsageError("a folder takes one --method and no --panel")
    if folder is None and photos is not None:
        raise _no_folder()
    as_one = photos is not None or is_video
    model = artifact_of(source, wanted, () if as_one else images, max_pixels)
    explainer = _opened(model, provider, threads, max_pixels, preprocess)
    refuse_options(explainer)
    say_unchecked(explainer.spec, named_bank)
    is_detector = explainer.spec.detector is not None
    if is_detector:
        if as_one and boxes:
            raise click.UsageError(
                "a folder or video takes no --box N: the numbers are of one image"
            )
        request = request_of_boxes(request)
    if photos is not None and folder is not None:
        request["method"] = methods[0] if methods else explainer.spec.layers[0].method or "gradcam"
        from ..runtime.tools.jobs.settings import Settings

        artifact, pictures, to = (str(path.resolve()) for path in (model, photos, folder))
        batch = of_folder.pop("batch") or Settings.batch
        look = drawing.to_dict()
        job = Settings(
            artifact, pictures, to, request, look, batch, provider, threads, max_pixels, preprocess
        )
        explain_folder(job, as_json=as_json, opened=opened, **of_folder)
    if is_video:
        if methods:
            request["method"] = methods[0]
        from .video import explain_videos

        explain_videos(explainer, images, request, drawing, folder, video, of_folder["batch"],
                       as_json=as_json, opened=opened)  # fmt: skip
        return
    if is_detector:
        explain_detector(explainer, called, request, methods, further, drawing, folder,
                         as_json=as_json, opened=opened)  # fmt: skip
        return
    if folder is None:
        raise _no_folder()
    from ..runtime.inputs.names import Names
    from ..runtime.output.text import describe_explanation

    drawing.check(folder)
    names = Names()
    methods = methods or ("gradcam",)
    each, many = list(dict.fromkeys(methods)), len(images) >= _MANY
    colour = coloured()
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    with progress_bar("explaining", hidden=not many) as bar:
        bar(0, len(images))
        for count, (file, path) in enumerate(called, 1):
            request["progress"] = None if many else meter(path.name)
            for example in explainer.read_file(file, further):
                name = names.distinct(example.name)
                own: Any = {**request, "inputs": None}
                compared = explainer.compare(example, each, **own)
                found = [replace(one, name=name) for one in compared]
                for one, saved in zip(found, drawing.write(found, folder), strict=True):
                    files = [str(file) for file in saved]
                    rows.append({**one.to_dict(), "image": str(path), "files": files})
                    texts.append(describe_explanation(path, one, saved, colour=colour))
            bar(count, len(images))
    say(write_json(rows, indent=2) if as_json else "\n".join(texts), colour=colour)
    note(f"ran on {explainer.provider}")
    if opened:
        open_written([Path(file) for row in rows for file in row["files"]])


def _opened(
    model: Path, provider: str | None, threads: int | None, max_pixels: int, preprocess: str | None
) -> Explainer:
    from ..runtime import Explainer

    return Explainer(model, provider, threads, max_pixels=max_pixels, preprocess=preprocess)


def _refuse_of_folder(options: Mapping[str, Any], allowed: str) -> None:
    """Refuse options that only a folder takes, but for one."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items()
             if value and name != allowed]  # fmt: skip
    if given:
        raise click.UsageError(f"only a folder of images takes {', '.join(given)}")


def _refuse_unused(classes: Sequence[str], layers: Sequence[str], prompts: Sequence[str]) -> None:
    """Refuse options that would change nothing."""
    given = click.get_current_context().get_parameter_source
    named = "--class" if classes else "--prompt"
    if (classes or prompts) and given("top") is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            f"--top explains the best-ranked classes, {named} those that it names; leave one out"
        )
    if len({*layers}) < 2 and given("fuse") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--fuse joins the maps of several layers; give two --layer or more")


def _no_folder() -> click.MissingParameter:
    return click.MissingParameter(param_type="option", param_hint="'-o' / '--to'")


def _absolute(needed: bool, value: Any) -> Any:
    """Return a file as text, absolute if processes elsewhere may open it; numbers as they are."""
    if not isinstance(value, (str, Path)):
        return value
    return str(Path(value).absolute() if needed else value)
