"""`graftcam diff` compares where two artifacts look."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime.exit_codes import ExitCode
from ..runtime.plain_text import plain, plain_lines
from .common import command, progress_bar, say
from .further_inputs import input_option
from .models import ModelFile
from .opening import open_option, open_written
from .options import FILE, json_option, max_pixels_option, provider_option, to_option
from .sections import RESULTS, under
from .words import bank_from, texts_of, words_options

if TYPE_CHECKING:
    from ..runtime.tools.diff import Comparison


@command(
    "graftcam diff release-1.onnx release-2.onnx photos/ -o out",
    "graftcam diff float.onnx int8.onnx photos/ --at-least 0.95",
    "graftcam diff old.onnx new.onnx mole.jpg --input age=54",
    "graftcam diff clip-1.onnx clip-2.onnx photos/ --bank bank.npz",
)
@click.argument("first", type=ModelFile())
@click.argument("second", type=ModelFile())
@click.argument("images", nargs=-1, required=True, type=FILE)
@to_option("folder", "DIR", "Folder for drawings of the most changed maps, and diff.json.",
           folder=True, required=False)  # fmt: skip
@under(
    RESULTS,
    click.option("--show", type=click.IntRange(0), default=8, show_default=True, metavar="N",
                 help="Number of most changed images to draw and list."),
    click.option("--at-least", type=click.FloatRange(0, 1), metavar="SHARE",
                 help="Fail (exit code 1) if the mean similarity of the maps, or the share of "
                      "equal predictions, is lower."),
    open_option,
)  # fmt: skip
@input_option
@words_options
@max_pixels_option
@provider_option
@json_option
def diff(
    first: Path, second: Path, images: tuple[Path, ...], folder: Path | None, show: int,
    at_least: float | None, inputs: dict[str, Any], prompts: tuple[str, ...], bank: Path | None,
    text_encoder: Path | None, tokenizer: Path | None, templates: tuple[str, ...],
    length: int | None, pad: str | None, max_pixels: int, provider: str | None, opened: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare where artifacts FIRST and SECOND look, on IMAGES (files or folders).

    For each image, compares the maps of FIRST's best class: the cosine between them, the overlap
    of their hottest fifths, and the distance of their maxima. Of detectors, compares the maps of
    each box of FIRST with those of SECOND's box of the same class at the same place; one that only
    one of them finds has a similarity of 0. The exit code is 1 if an image cannot be read, too.
    """
    from ..runtime import Explainer
    from ..runtime.errors import RenderError
    from ..runtime.inputs.names import file_name
    from ..runtime.json_text import write_json
    from ..runtime.output.render import write_image
    from ..runtime.tools.diff import most_changed
    from ..runtime.tools.jobs.find import all_paths
    from ..runtime.tools.pairs import pair_of
    from ..runtime.writing import replace_file

    one, other = (Explainer(path, provider, max_pixels=max_pixels) for path in (first, second))
    texts = bank_from(prompts, bank, text_encoder, tokenizer, templates, length, pad)
    pair = pair_of(one, other, inputs, texts_of(texts, prompts))
    paths = all_paths(images, folder, pair.first.suffixes)
    with progress_bar("comparing", hidden=len(paths) < 8) as bar:
        bar(0, len(paths))
        found = pair.compare(paths, lambda count: bar(count, len(paths)))
    text = write_json(found.to_dict(), indent=2)
    changed = most_changed(found.changes, show)
    if folder:
        for rank, change in enumerate(changed, 1):
            name = file_name(f"{rank:02}-{Path(change.path).stem}", ".png")
            write_image(folder / name, pair.image(change))
        replace_file(folder / "diff.json", text.encode() + b"\n", RenderError)
    say(text if as_json else _described(found, first, second, show))
    for path, reason in found.failed.items():
        say(plain(f"failed: {path}: {reason}"), err=True)
    if opened:
        open_written([folder] if folder else [])
    low = [] if at_least is None else found.below(at_least)
    for reason in low:
        say(reason, err=True)
    sys.exit(ExitCode.FAILED if low or found.failed else ExitCode.DONE)


def _described(found: Comparison, first: Path, second: Path, show: int) -> str:
    named = "class" if found.subject == "image" else "box"
    lines = [
        f"{first.name} and {second.name} on {found.counted}: maps "
        f"{found.similarity:.3f} similar, {found.agreement:.1%} the same prediction",
        f"{'similar':>7}  {'overlap':>7}  {'shift':>5}  image ({named})",
    ]
    for change in found.changes[:show]:
        moved = "-" if change.shift is None else f"{change.shift:.2f}"
        best = "" if len(set(change.predicted)) == 1 else f", then {change.predicted[1]}"
        lines.append(
            f"{change.similarity:7.3f}  {change.overlap:7.3f}  {moved:>5}  "
            f"{change.path} ({change.label}{best})"
        )
    return plain_lines(lines)
