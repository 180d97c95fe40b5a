"""`graftcam visualize` computes the image that maximises a class, a channel or a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option

from ..runtime.json_text import write_json
from ..runtime.plain_text import plain
from ..runtime.visualize.settings import PARAMETRISATIONS, PRESETS, Parametrisation
from .common import Numbers, command, note, progress_bar, say
from .completes import completes
from .guarded import Destination
from .models import ModelFile
from .opening import open_option, open_written
from .options import (
    FILE,
    explained_output_option,
    json_option,
    provider_option,
    to_option,
)
from .sections import RESULTS, Decorator, Section, under
from .words import bank_from, words_options

if TYPE_CHECKING:
    from ..runtime.inputs.bank import Bank
    from ..runtime.session.session import Session

_target_options = under(
    Section("What to maximise"),
    option("--class", "class_name", metavar="ID|LABEL", shell_complete=completes("class"),
           help="Class whose score to maximise."),
    option("--channel", type=click.IntRange(0), metavar="N",
           help="Channel whose mean to maximise; for artifacts exported with --score channel."),
    option("--unit", type=Numbers(int), metavar="ROW,COLUMN",
           help="Maximise only at this position of the layer, or of a segmentation's output."),
    option("--score-weights", type=FILE, metavar="FILE.npy",
           help="For linear scores: weights of the output, [*output], instead of a class."),
    explained_output_option,
)  # fmt: skip


def _default(name: str) -> str:
    """Say a setting's default: that of the default parametrisation, then those that differ."""
    usual, *others = [(key, getattr(preset, name)) for key, preset in PRESETS.items()]
    different = [f"{key}: {value}" for key, value in others if value != usual[1]]
    return f"Default: {usual[1]}" + (f" ({', '.join(different)})." if different else ".")


def _setting(name: str, kind: click.ParamType, text: str, metavar: str | None = None) -> Decorator:
    """Return the option of a setting whose default depends on the parametrisation."""
    return option(f"--{name.replace('_', '-')}", type=kind, metavar=metavar,
                  help=f"{text} {_default(name)}")  # fmt: skip


_ascent_options = under(
    Section("Gradient ascent"),
    option("--parametrisation", type=click.Choice(PARAMETRISATIONS), default="fourier",
           show_default=True,
           help="The numbers that change: Fourier coefficients of decorrelated colours; their "
                "phases alone, with fixed magnitudes; or pixels."),
    _setting("steps", click.IntRange(1), "Steps of the gradient ascent.", "N"),
    _setting("rate", click.FloatRange(0, min_open=True),
             "How far a number moves in a step: a coefficient, about 1 at full contrast; a phase "
             "in radians; a pixel, from 0 for black to 1 for white.", "X"),
    _setting("batch", click.IntRange(1),
             "Copies of the image that give a step's gradient, each moved at random.", "N"),
    _setting("jitter", click.IntRange(0), "Shift each copy by up to this much.", "PIXELS"),
    _setting("shrink", click.FloatRange(1), "Show everything smaller by up to this factor.",
             "FACTOR"),
    _setting("enlarge", click.FloatRange(1), "Show everything larger by up to this factor.",
             "FACTOR"),
    _setting("rotation", click.FloatRange(0, 180), "Turn each copy by up to this angle.",
             "DEGREES"),
    _setting("noise", click.FloatRange(0),
             "Add normal noise to each copy, with this share of the image's standard deviation.",
             "SHARE"),
    _setting("cooling", click.FloatRange(0, 1),
             "Share of the steps, the last ones, in which the rate falls to 0.", "SHARE"),
    _setting("decay", click.FloatRange(0, 1),
             "L2 decay: the share of its distance to grey that a number loses in a step.", "SHARE"),
    _setting("blur", click.FloatRange(0),
             "Gaussian blur, standard deviation in pixels; 0: none.", "PIXELS"),
    _setting("blur_every", click.IntRange(1), "Steps from one blur to the next.", "N"),
    _setting("variation", click.FloatRange(0),
             "Weight of the total variation, which makes neighbours similar.", "WEIGHT"),
    _setting("seed", click.IntRange(0), "Seed of the initial noise and of the copies.",
             "N"),
)  # fmt: skip


@command(
    "graftcam visualize model.onnx --class daisy -o daisy.png",
    "graftcam visualize digits.onnx --class 7 --parametrisation pixels -o seven.png",
    "graftcam visualize channels.onnx --channel 12 -o channel.png --curve curve.png",
    "graftcam visualize channels.onnx --channel 12 --unit 3,4 --jitter 0 -o unit.png",
    "graftcam visualize clip.onnx --bank bank.npz --prompt daisy -o daisy.png",
)
@click.argument("model", type=ModelFile())
@to_option("path", "FILE", "The image to write.")
@under(RESULTS, option(
    "--curve", type=Destination(), metavar="FILE",
    help="File for a plot of the score by step; a .json beside it gets the numbers.",
))  # fmt: skip
@open_option
@_target_options
@words_options
@_ascent_options
@provider_option
@json_option
def visualize(
    model: Path, path: Path, class_name: str | None, channel: int | None, unit: list[int] | None,
    score_weights: Path | None, prompts: tuple[str, ...], bank: Path | None,
    text_encoder: Path | None, tokenizer: Path | None, templates: tuple[str, ...],
    length: int | None, pad: str | None, output: str | None, parametrisation: Parametrisation,
    curve: Path | None, provider: str | None, opened: bool, as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """Compute the image that maximises a class, a channel, a unit or a text of the artifact MODEL.

    Does gradient ascent on the input, from noise; the same seed gives the same image. Export
    MODEL with --extra input_gradients (and, for channels, --score channel).
    """
    from ..runtime.errors import RenderError
    from ..runtime.inputs.selection import choose_output
    from ..runtime.output.render import check_image_path, write_image
    from ..runtime.session.session import Session
    from ..runtime.visualize.ascent import visualize as run
    from ..runtime.writing import guard, replace_file

    targets = [class_name, channel, score_weights, *(prompts or [None])]
    if sum(one is not None for one in targets) != 1:
        raise click.UsageError("give one of --class, --channel, --score-weights and --prompt")
    texts = bank_from(prompts, bank, text_encoder, tokenizer, templates, length, pad)
    images = [path] if curve is None else [path, curve]
    for one in images:
        check_image_path(one)
    if curve is not None:
        guard(curve.with_suffix(".json"), (), RenderError)
    session = Session(model, provider)
    session = session.about(choose_output(session.spec, output))
    if prompts or texts is not None:
        selection = _texts(session, prompts, texts)
    else:
        selection = _selection(session, class_name, channel, score_weights)
    given = {name: value for name, value in settings.items() if value is not None}
    ascent = replace(PRESETS[parametrisation], **given)
    with progress_bar("maximising") as bar:
        found = run(session, selection, ascent, unit=unit, progress=bar)
    numbers = write_json(found.to_dict(), indent=2)
    files = [write_image(path, found.image)]
    if curve is not None:
        files.append(write_image(curve, found.draw_curve()))
        files.append(replace_file(curve.with_suffix(".json"), numbers.encode(), RenderError))
    written = plain(", ".join(map(str, files)))
    say(numbers if as_json else f"score {found.start:.3f} for noise, {found.score:.3f} "
        f"after {len(found.curve)} steps  -> {written}")  # fmt: skip
    note(f"ran on {session.provider}")
    if opened:
        open_written(files[:1])


def _texts(session: Session, prompts: Sequence[str], bank: Bank | Path | None) -> Any:
    """Return what the artifact's selector takes, for one text.

    Raises:
        InputError: The artifact takes no texts, or not these.
    """
    import numpy as np

    from ..runtime.inputs.prompts import choose_prompts
    from ..runtime.inputs.selection import choose_classes

    found = choose_prompts(session, prompts, bank, 1)
    if found is None:  # the artifact's own bank, whose names are its classes
        return np.array([choose_classes(session.spec, [*prompts], 1)], np.int64)
    return found.selection(np.array([found.rows], np.int64))


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
