"""`graftcam explain` draws overlays from an artifact, or a model to make one of, and images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .artifact import Wanted, artifact_of, model_options
from .boxes import explain_detector, refuse_options, request_of_boxes
from .common import command
from .completes import completes
from .drawing import Drawing, drawing_options
from .explain_options import input_options, method_options, region_options, subject_options
from .explain_request import bank_of, check_options, refuse_unused, request_of
from .folder import FolderSettings, explain_folder, folder_options
from .guarded import TextOrFile
from .images import Images, explain_images, no_folder
from .opening import open_option
from .options import (
    FILE,
    json_option,
    max_pixels_option,
    provider_option,
    threads_option,
    to_option,
)
from .video_options import VideoSettings, video_options
from .words import say_unchecked, words_options

if TYPE_CHECKING:
    from ..runtime import Explainer, Request
    from ..runtime.tools.jobs.settings import Settings


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
@subject_options
@method_options
@model_options
@drawing_options
@input_options
@region_options
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
    output: str | None, methods: tuple[str, ...], layers: tuple[str, ...], drawing: Drawing,
    max_pixels: int, provider: str | None, threads: int | None, opened: bool, as_json: bool,
    **_others: Any,
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
    options = click.get_current_context().params
    refuse_unused(options)
    given = Images.of(images)
    of_video, of_folder = VideoSettings.of(options), FolderSettings.of(options)
    check_options(options, given, of_video, of_folder, panel=drawing.panel)
    bank = bank_of(options)
    request = request_of(options, given, bank)
    if given.folder is not None and folder is None:
        raise no_folder()
    wanted = Wanted(
        weights, shapes or None, labels, layers, output, methods,
        linear=options["score_weights"] is not None,
        texts=bool(options["prompts"] or options["bank"] or options["text_encoder"]),
    )  # fmt: skip
    model = artifact_of(source, wanted, () if given.as_one else given.files, max_pixels)
    explainer = _opened(model, provider, threads, max_pixels, preprocess)
    refuse_options(explainer)
    say_unchecked(explainer.spec, bank)
    further: Any = request.get("inputs") or {}
    if explainer.spec.detector is not None:
        given.refuse_numbers(options["boxes"])
        request = request_of_boxes(request)
    ending: Any = {"as_json": as_json, "opened": opened}
    if given.folder is not None and folder is not None:
        job = _job(explainer, given.folder, folder, request, drawing, options)
        explain_folder(job, of_folder, **ending)
    elif given.are_videos:
        from .video import explain_videos

        if methods:
            request["method"] = methods[0]
        batch = of_folder.batch
        explain_videos(explainer, given.files, request, drawing, folder, of_video, batch, **ending)
    elif explainer.spec.detector is not None:
        explain_detector(
            explainer, given.called, request, methods, further, drawing, folder, **ending
        )
    elif folder is None:
        raise no_folder()
    else:
        explain_images(
            explainer, given.called, request, methods, further, drawing, folder, **ending
        )


def _opened(
    model: Path, provider: str | None, threads: int | None, max_pixels: int, preprocess: str | None
) -> Explainer:
    from ..runtime import Explainer

    return Explainer(model, provider, threads, max_pixels=max_pixels, preprocess=preprocess)


def _job(
    explainer: Explainer, images: Path, folder: Path, request: Request, drawing: Drawing,
    options: Mapping[str, Any],
) -> Settings:  # fmt: skip
    """Return what is to be done to a folder of images, in values that any process can take."""
    from ..runtime.tools.jobs.settings import Settings

    usual = explainer.spec.layers[0].method or "gradcam"
    request["method"] = next(iter(options["methods"]), usual)
    artifact, pictures, to = (str(path.resolve()) for path in (explainer.path, images, folder))
    return Settings(
        artifact, pictures, to, request, drawing.to_dict(), options["batch"] or Settings.batch,
        options["provider"], options["threads"], options["max_pixels"], options["preprocess"],
    )  # fmt: skip
