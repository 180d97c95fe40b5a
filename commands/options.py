"""These options are those of several commands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import click
from click import option

from ..runtime.limits import MAX_PIXELS
from .common import Shape, shapes_by_input
from .completes import completes
from .guarded import Destination, TextOrFile
from .sections import MODEL, RESULTS, RUN, SUBJECT, TERMINAL, Decorator, under

FILE = click.Path(path_type=Path)
TO_WORD = "graftcam.to"


def to_option(
    name: str, metavar: str, text: str, *, folder: bool | None = False, required: bool = True,
    words: Collection[str] = (),
) -> Decorator:  # fmt: skip
    """Return ``-o``, ``--to``, for the file or folder to write; twice is an error.

    For ``folder`` see `Destination`. One of ``words`` is no file; the context's ``meta`` holds it
    under `TO_WORD`.
    """

    def once(
        context: click.Context, _option: click.Parameter, paths: Sequence[Path]
    ) -> Path | None:
        for path in [path for path in paths if str(path) in words]:
            context.meta[TO_WORD] = str(path)
        paths = [path for path in paths if str(path) not in words]
        if len(paths) > 1:
            given = ", ".join(map(str, paths))
            raise click.BadParameter(f"it is the one {metavar} to write, and has {given}")
        return paths[0] if paths else None

    return under(RESULTS, option(
        "-o", "--to", name, type=Destination(folder=folder), required=required, multiple=True,
        callback=once, metavar=metavar, help=text,
    ))  # fmt: skip


def one_or_several(
    _context: click.Context, _option: click.Parameter, names: Sequence[str]
) -> str | list[str] | None:
    """Return the name that was given, a list of several, or None."""
    return list(names) if len(names) > 1 else next(iter(names), None)


class_option = under(SUBJECT, option(
    "--class", "classes", multiple=True, metavar="ID|LABEL", shell_complete=completes("class"),
    help="Class to explain; repeatable. Default: the best-ranked.",
))  # fmt: skip


LAYER_NAMES = (
    "one of the artifact's, or of a model that is no artifact yet any that `graftcam layers` lists"
)
"""Which names the option ``--layer`` takes, for its help."""

json_option = under(
    TERMINAL, option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
)
explained_output_option = under(SUBJECT, option(
    "--output", metavar="NAME", shell_complete=completes("output"),
    help="Output that the class is of, if MODEL explains several; `graftcam inspect` names them. "
         "Default: the first.",
))  # fmt: skip
output_option = under(SUBJECT, option(
    "--output", multiple=True, callback=one_or_several, metavar="NAME",
    help="Output to explain, if the model has several; repeatable: one artifact then explains "
         "each of them. Default: the one that looks most like class scores, which the report "
         "names.",
))  # fmt: skip
axis_options = under(
    SUBJECT,
    option("--class-axis", type=int, metavar="AXIS",
           help="Axis of the output that indexes the classes. Default: the one that the labels, a "
                "Softmax or the channels of the last layer show; else 1."),
    option("--class-offset", type=click.IntRange(0), metavar="N",
           help="Number of entries of that axis before the first class, such as the 4 of a box. "
                "Default: what stands before the only part that ends in probabilities; else 0."),
)  # fmt: skip
max_pixels_option = under(RUN, option(
    "--max-pixels", type=click.IntRange(1), default=MAX_PIXELS, show_default=True, metavar="N",
    help="Number of pixels that an image file may have; a larger one is refused by its header.",
))  # fmt: skip
engine_option = under(RUN, option(
    "--engine", metavar="NAME", shell_complete=completes("engine"),
    help="What will run the artifact, and runs it here: openvino, openvino-plugin, web "
         "(WebAssembly), webgpu, tensorrt-rtx, onnx, tinygrad, or a provider of ONNX Runtime, such "
         "as cuda. Default: ONNX Runtime's CPU.",
))  # fmt: skip
provider_option = under(RUN, option(
    "--provider", metavar="NAME", shell_complete=completes("engine"),
    help="What runs the file: a provider of ONNX Runtime, cuda or cpu, or an engine of "
         "docs/engines.md, such as openvino.",
))  # fmt: skip
source_options = under(
    MODEL,
    option("--weights", type=TextOrFile(), metavar="FILE|NAME",
           help="State dict (read with weights_only=True); or of torchvision:NAME and timm:NAME "
                "published weights by name, such as IMAGENET1K_V2, or DEFAULT for those that the "
                "package recommends, fetched once."),
    option("--shape", "shapes", type=Shape(), multiple=True, callback=shapes_by_input,
           help="Shape of an input without the batch axis; repeatable, as INPUT=N,N,... then. Of "
                "an ONNX file: fixes its open axes (1x3x224x224; ? leaves one as it is)."),
    option("--trust-source", "trust", is_flag=True,
           help="Load a .pt2 or TorchScript file, which can run code of whoever made it "
                "(docs/security.md)."),
)  # fmt: skip
threads_option = under(RUN, option(
    "--threads", type=click.IntRange(1), metavar="N",
    help="Threads within one operator. Default: ONNX Runtime's choice.",
))  # fmt: skip
