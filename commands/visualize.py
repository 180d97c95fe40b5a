"""`graftcam visualize` computes the image that maximises a class, a channel or a unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option

from ..runtime.json_text import write_json
from ..runtime.plain_text import plain
from .common import Numbers, command, progress_bar, say
from .guarded import Destination
from .options import FILE, explained_output_option, group, json_option, provider_option, to_option

if TYPE_CHECKING:
    from ..runtime.session.session import Session

_target_options = group(
    option("--class", "class_name", metavar="ID|LABEL", help="Class whose score to maximise."),
    option("--channel", type=click.IntRange(0), metavar="N",
           help="Channel whose mean to maximise; for artifacts exported with --score channel."),
    option("--unit", type=Numbers(int), metavar="ROW,COLUMN",
           help="Maximise only at this position of the layer, or of a segmentation's output."),
    option("--score-weights", type=FILE, metavar="FILE.npy",
           help="For linear scores: weights of the output, [*output], instead of a class."),
    explained_output_option,
)  # fmt: skip
_ascent_options = group(
    option("--steps", type=click.IntRange(1), default=256, show_default=True, metavar="N",
           help="Steps of the gradient ascent; each is one run of the model."),
    option("--rate", type=click.FloatRange(0, min_open=True), default=0.02, show_default=True,
           help="How far a pixel moves in one step; black to white is 1."),
    option("--decay", type=click.FloatRange(0, 1), default=0.01, show_default=True,
           help="L2 decay: the share of its distance to grey that a pixel loses in a step."),
    option("--blur", type=click.FloatRange(0), default=0.8, show_default=True,
           help="Gaussian blur, standard deviation in pixels; 0: none."),
    option("--blur-every", type=click.IntRange(1), default=4, show_default=True, metavar="N",
           help="Steps from one blur to the next."),
    option("--jitter", type=click.IntRange(0), default=4, show_default=True, metavar="PIXELS",
           help="Shift the image by up to this much, at random in each step."),
    option("--variation", type=click.FloatRange(0), default=0.2, show_default=True,
           help="Weight of the total variation, which makes neighbours similar."),
    option("--seed", type=click.IntRange(0), default=0, show_default=True,
           help="Seed of the initial noise and of the shifts."),
)  # fmt: skip


@command(
    "graftcam visualize digits.onnx --class 7 -o seven.png",
    "graftcam visualize channels.onnx --channel 12 -o channel.png --curve curve.png",
    "graftcam visualize channels.onnx --channel 12 --unit 3,4 --jitter 0 -o unit.png",
)
@click.argument("model", type=FILE)
@to_option("path", "FILE", "The image to write.")
@_target_options
@_ascent_options
@click.option("--curve", type=Destination(), metavar="FILE",
              help="File for a plot of the score by step; a .json beside it gets the "
                   "numbers.")  # fmt: skip
@provider_option
@json_option
def visualize(
    model: Path, path: Path, class_name: str | None, channel: int | None, unit: list[int] | None,
    score_weights: Path | None, output: str | None, curve: Path | None, provider: str | None,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Compute the image that maximises a class, a channel or a unit of the artifact MODEL.

    Does gradient ascent on the input, from grey noise; the same seed gives the same image. Export
    MODEL with --extra input_gradients (and, for channels, --score channel).
    """
    from ..runtime.errors import RenderError
    from ..runtime.inputs.selection import choose_output
    from ..runtime.output.render import check_image_path, write_image
    from ..runtime.session.session import Session
    from ..runtime.visualize.ascent import Ascent
    from ..runtime.visualize.ascent import visualize as run
    from ..runtime.writing import guard, replace_file

    given = [class_name is not None, channel is not None, score_weights is not None]
    if sum(given) != 1:
        raise click.UsageError("give one of --class, --channel and --score-weights")
    images = [path] if curve is None else [path, curve]
    for one in images:
        check_image_path(one)
    if curve is not None:
        guard(curve.with_suffix(".json"), (), RenderError)
    session = Session(model, provider)
    session = session.about(choose_output(session.spec, output))
    selection = _selection(session, class_name, channel, score_weights)
    with progress_bar("maximising") as bar:
        found = run(session, selection, Ascent(**options), unit=unit, progress=bar)
    numbers = write_json(found.to_dict(), indent=2)
    files = [write_image(path, found.image)]
    if curve is not None:
        files.append(write_image(curve, found.draw_curve()))
        files.append(replace_file(curve.with_suffix(".json"), numbers.encode(), RenderError))
    written = plain(", ".join(map(str, files)))
    say(numbers if as_json else f"score {found.start:.3f} for grey noise, {found.score:.3f} "
        f"after {len(found.curve)} steps  -> {written}")  # fmt: skip
    say(f"ran on {session.provider}", err=True)


def _selection(
    session: Session, class_name: str | None, channel: int | None, score_weights: Path | None
) -> Any:
    """Return what the artifact's selector takes, for one score."""
    import numpy as np

    from ..runtime.errors import InputError
    from ..runtime.inputs.score_weights import name_rows, takes_weights
    from ..runtime.inputs.selection import choose_classes

    kind = session.spec.score.kind
    if (channel is not None) != (kind == "channel"):
        raise InputError(
            f"{session.path.name} has a score of kind {kind!r}; --channel goes with an artifact "
            "that was exported with --score channel, --class with any other but linear"
        )
    if takes_weights(session, score_weights, class_name):
        return name_rows(session, score_weights)[1][:, :1]
    wanted = class_name if channel is None else channel
    return np.array([choose_classes(session.spec, wanted, 1)], np.int64)
