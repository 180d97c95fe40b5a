"""`graftcam concepts` shows what a layer's activations consist of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option

from ..runtime.plain_text import plain, plain_lines
from .artifact import Wanted, artifact_of, model_options
from .common import command, note, say
from .completes import completes
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
from .sections import Section, under

if TYPE_CHECKING:
    from ..runtime import Concepts


@command(
    "graftcam concepts resnet50.onnx photo.jpg -o out",
    "graftcam concepts resnet50.onnx cats/*.jpg -o out --components 6 --class tabby --class lynx",
    "graftcam concepts torchvision:efficientnet_b0 photos/ -o out --clip",
)
@click.argument("source", type=TextOrFile(), shell_complete=completes("source"))
@click.argument("images", nargs=-1, required=True, type=FILE)
@to_option("folder", "DIR", "Folder for the files.", folder=True)
@open_option
@under(
    Section("Concepts"),
    option("--components", type=click.IntRange(1), default=4, show_default=True, metavar="N",
           help="Number of concepts."),
    option("--layer", metavar="NAME", shell_complete=completes("layer"),
           help=f"Layer: {LAYER_NAMES}. Default: the first."),
    option("--clip", is_flag=True,
           help="Take negative activations for 0, as those of SiLU, GELU and norms."),
    class_option,
    option("--top", type=click.IntRange(1), metavar="N",
           help="Number of best-ranked classes of each image that concepts are measured by, "
                "without --class. Default: 3."),
    explained_output_option,
)  # fmt: skip
@model_options
@input_option
@max_pixels_option
@provider_option
@threads_option
@json_option
def concepts(
    source: str, images: tuple[Path, ...], folder: Path, weights: str | None,
    shapes: dict[str, list[int | None]], labels: str | None, preprocess: str | None,
    components: int, clip: bool, classes: tuple[str, ...], top: int | None, output: str | None,
    layer: str | None, inputs: dict[str, Any], max_pixels: int, provider: str | None,
    threads: int | None, opened: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write the concepts that a layer sees in all IMAGES together (files or folders).

    SOURCE is an artifact, or what `graftcam explain` makes one of.

    The layer's activations are factorised into non-negative parts (deep feature factorisation).
    A concept is a direction in the layer's channels. Its map shows where each image has it, its
    effect what it adds to the scores of classes. Of each image DIR gets NAME-concepts.png, and of
    all together concepts.json and concepts.npz.
    """
    from ..runtime import Explainer
    from ..runtime.json_text import write_json
    from ..runtime.tools.jobs.find import all_paths

    layers = () if layer is None else (layer,)
    wanted = Wanted(weights, shapes or None, labels, layers, output, ())
    model = artifact_of(source, wanted, images, max_pixels)
    explainer = Explainer(model, provider, threads, max_pixels=max_pixels, preprocess=preprocess)
    paths = all_paths(images, folder, explainer.suffixes)
    found = explainer.concepts(
        [str(path) for path in paths], components, classes=list(classes) or None, top=top,
        output=output, layer=layer, clip=clip, inputs=inputs or None,
    )  # fmt: skip
    files = found.save(folder)
    if opened:
        open_written(files[2:])
    if as_json:
        say(write_json({**found.to_dict(), "files": [str(file) for file in files]}, indent=2))
        return
    say(_described(found, files))
    note(plain(f"ran on {explainer.provider}"))


def _described(found: Concepts, files: list[Path]) -> str:
    lines = [
        f"{len(found.vectors)} concepts of layer {found.layer} in {len(found)} "
        f"image{'s' * (len(found) != 1)}: error {found.error:.0%} of the activations"
    ]
    if found.clipped:
        lines.append(f"negative activations, {found.clipped:.0%} of all, were taken for 0")
    for one, file in zip(found, files[2:], strict=True):
        lines.append(f"{one.name} -> {file}")
        lines += [
            f"  {number + 1}  {share:4.0%}  {one.strongest(number)}"
            for number, share in enumerate(found.shares)
        ]
    return plain_lines([*lines, *(f"-> {file}" for file in files[:2])])
