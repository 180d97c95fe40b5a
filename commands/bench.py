"""`graftcam bench` measures what explaining costs."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime.json_text import write_json
from .common import Numbers, Steps, command, say
from .completes import completes
from .models import ModelFile
from .options import (
    FILE,
    class_option,
    json_option,
    max_pixels_option,
    provider_option,
    threads_option,
)
from .sections import INPUTS, RUN, Section, under

if TYPE_CHECKING:
    from ..runtime.spec import Spec
    from ..runtime.tools.bench.variants import Asked

_NO_PLAIN = (
    "the plain model was not measured; name it with --against PLAIN.onnx, or install onnx-ir, "
    "which extracts it from the artifact"
)


@command(
    "graftcam bench resnet50.onnx",
    "graftcam bench resnet50.onnx --against plain.onnx --batch 8 -k 5 --threads 2",
    "graftcam bench fcn.onnx --shape 480,640 --json",
    "graftcam bench resnet50.onnx --profile --threads 2",
    "graftcam bench faces.onnx --output age -k 3",
)
@click.argument("model", type=ModelFile())
@under(
    Section("What to measure"),
    click.option("--against", type=FILE, metavar="PLAIN",
                 help="The model without explanation, to compare with. Default: the model inside "
                      "the artifact (needs onnx-ir)."),
    class_option,
    click.option("-k", "--top", type=click.IntRange(1), metavar="K",
                 help="Number of best-ranked classes to explain, instead of --class; of a "
                      "detector, of boxes (default: 16). K = 0 and K = 1 are always measured."),
    click.option("--output", metavar="NAME", shell_complete=completes("output"),
                 help="Output to explain, if the artifact explains several. Default: each of "
                      "them; with --class the first."),
    click.option("--profile", "floor", is_flag=True,
                 help="Count multiplications and bytes, too, from ONNX Runtime's profile: for the "
                      "forward above the layer and for the added nodes, by operator, with their "
                      "share of this machine's peak, and where the time above that floor goes."),
)  # fmt: skip
@under(
    INPUTS,
    click.option("--batch", type=click.IntRange(1), metavar="N",
                 help="Images in one run. Default: 1, or the artifact's fixed batch."),
    click.option("--shape", "sizes", type=Numbers(int), metavar="H,W",
                 help="Size of the input, if the artifact leaves it open. Default: the size of its "
                      "stored preprocessing."),
    click.option("--image", type=FILE, metavar="FILE",
                 help="An image to feed. Default: random numbers."),
    max_pixels_option,
)  # fmt: skip
@under(RUN, click.option(
    "--rounds", type=click.IntRange(1), metavar="N",
    help="Number of times that each variant is timed. Default: for about ten seconds, 10 to 200 "
         "times.",
))  # fmt: skip
@threads_option
@provider_option
@json_option
def bench(
    model: Path, against: Path | None, batch: int | None, classes: tuple[str, ...],
    output: str | None, top: int | None, sizes: list[int] | None, image: Path | None,
    max_pixels: int, rounds: int | None, floor: bool, threads: int | None, provider: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure what explaining costs with the artifact MODEL.

    Times plain prediction, K = 0 (the artifact used for prediction alone), K = 1 and the requested
    classes (of each output; of a detector: boxes), in turns and in random order. Then profiles the
    added nodes, and measures the peak memory of each variant in a new process. Run it on a quiet
    machine.
    """
    if classes and top is not None:
        raise click.UsageError("--class and -k exclude each other")
    if image is not None and sizes is not None:
        raise click.UsageError(
            "--image has the size of the artifact's preprocessing, without --shape"
        )
    from ..runtime.tools.bench.describe import describe_cost
    from ..runtime.tools.bench.inputs import make_feeds
    from ..runtime.tools.bench.measure import measure, open_artifact

    artifact = open_artifact(model, provider, threads)
    artifact.max_pixels = max_pixels
    asked = _asked(artifact.spec, list(classes), top, output)
    feeds = make_feeds(artifact, batch, sizes, image)
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder, Steps() as steps:
        plain = against or _cut_back(model, Path(folder), steps)
        origin = str(against) if against else "the model inside the artifact"
        cost = measure(
            artifact, feeds, asked, plain, origin,
            rounds=rounds, threads=threads, floor=floor, progress=steps,
        )  # fmt: skip
    say(write_json(cost.to_dict(), indent=2) if as_json else describe_cost(cost))
    if plain is None:
        say(f"note: {_NO_PLAIN}", err=as_json)


def _asked(spec: Spec, classes: list[str], top: int | None, output: str | None) -> Asked:
    """What to explain of each output."""
    from ..runtime.inputs.selection import choose_classes, choose_output
    from ..runtime.tools.bench.variants import BOXES

    if spec.detector is not None:
        if classes or output:
            given = "--class" if classes else "--output"
            raise click.UsageError(f"a detector is measured by boxes: give -k instead of {given}")
        return {None: list(range(-1, -(top or BOXES) - 1, -1))}
    place = choose_output(spec, output)
    if spec.outputs is None:
        return {None: choose_classes(spec, classes or None, top or 1)}
    named = [spec.about(place)] if output or classes else spec.by_output()
    # Of several outputs, one with fewer classes than -k has as many as it has.
    most = [one.score.classes if len(named) > 1 else top or 1 for one in named]
    return {
        one.score.output: choose_classes(one, classes or None, min(top or 1, count))
        for one, count in zip(named, most, strict=True)
    }


def _cut_back(model: Path, folder: Path, steps: Steps) -> Path | None:
    """Write the model inside the artifact as its own file; None if onnx-ir is missing."""
    if not importlib.util.find_spec("onnx_ir"):
        return None
    steps("extracting the plain model")
    from ..exporter.artifact.strip import write_plain

    path = folder / "plain.onnx"
    write_plain(model, path)
    return path
