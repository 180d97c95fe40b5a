"""`graftcam evaluate` scores maps: how well they name what a model looks at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option

from ..runtime.exit_codes import ExitCode
from ..runtime.plain_text import plain
from .artifact import Wanted, artifact_of, model_options
from .common import Setting, command, note, progress_bar, say
from .completes import completes
from .folder import engine_of
from .further_inputs import input_option
from .guarded import TextOrFile
from .opening import open_option, open_written
from .options import (
    FILE,
    class_option,
    explained_output_option,
    json_option,
    max_pixels_option,
    provider_option,
    threads_option,
    to_option,
)
from .sections import METHOD, RESULTS, RUN, Section, under

if TYPE_CHECKING:
    from ..runtime.tools.evaluate.evaluate import Evaluation

_result_options = under(
    RESULTS,
    option("--pick", "advise", is_flag=True,
           help="Name the method and layer that win, as advice."),
    option("--at-least", "demands", multiple=True, type=Setting(), metavar="MEASURE=VALUE",
           help="Fail (exit code 1) if a method is not at least as good: its mean is lower, or "
                "larger where lower is better; repeatable."),
    option("--parquet", is_flag=True,
           help="Also write the scores as Parquet, a row a map (needs pyarrow)."),
    open_option,
)  # fmt: skip
_method_options = under(
    METHOD,
    option("--method", "methods", multiple=True, default=["gradcam"], show_default=True,
           metavar="ID", shell_complete=completes("method"),
           help="Method to score; repeatable. See docs/methods.md."),
    option("--option", "settings", multiple=True, type=Setting(),
           help="Option of a method; repeatable: each method gets those that it takes."),
    option("--layer", "layers", multiple=True, metavar="NAME", shell_complete=completes("layer"),
           help="Layer of the artifact; repeatable: each method is scored at each. Default: the "
                "first."),
)  # fmt: skip
_measure_options = under(
    Section("Measures"),
    option("--measure", "measures", multiple=True, metavar="ID",
           shell_complete=completes("measure"),
           help="Measure, or all; repeatable. See docs/evaluation.md. Default: insertion, "
                "deletion, road, average-drop, increase, sparseness, and those of places with "
                "--truth."),
    option("--setting", "tuning", multiple=True, type=Setting(),
           help="Number of a measure; repeatable: steps=64, deletion_fill=blur, "
                "percentiles=[10,50,90], squares=128, seed=1; see docs/evaluation.md."),
    option("--truth", type=FILE, metavar="PATH",
           help="Boxes or masks of the photographs: COCO's JSON, or a folder of VOC, YOLO or mask "
                "files. Classes are then those that it names."),
)  # fmt: skip
_run_options = under(
    RUN,
    option("--batch", type=click.IntRange(1), default=4, show_default=True, metavar="N",
           help="Number of photographs that are scored together."),
    option("--retry", is_flag=True,
           help="Score photographs again that failed in an earlier run, or changed since."),
    option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
           help="Score in this process, or on Ray."),
    option("--ray-address", metavar="ADDR",
           help="Ray: the cluster, such as auto or ray://host:10001. Default: this machine."),
    option("--actors", type=click.IntRange(1), metavar="N",
           help="Ray: number of processes. Default: as many as there are cores for."),
)  # fmt: skip


@command(
    "graftcam evaluate model.onnx photos/ -o scores",
    "graftcam evaluate model.onnx photos/ -o scores --method gradcam --method layercam --pick",
    "graftcam evaluate model.onnx photos/ -o scores --measure all --layer layer3 --layer layer4",
    "graftcam evaluate model.onnx photos/ -o scores --truth instances.json --measure pointing",
    "graftcam evaluate model.onnx photos/ -o scores --at-least deletion=0.3",
    "graftcam evaluate model.onnx photos/ -o scores --setting steps=64 --parquet",
    "graftcam evaluate model.onnx photos/ -o scores --engine ray --ray-address auto",
)
@click.argument("source", type=TextOrFile(), shell_complete=completes("source"))
@click.argument("images", nargs=-1, required=True, type=FILE)
@to_option("folder", "DIR", "Folder for the table, the summary and the page.", folder=True)
@_result_options
@_method_options
@_measure_options
@class_option
@explained_output_option
@model_options
@input_option
@_run_options
@max_pixels_option
@provider_option
@threads_option
@json_option
def evaluate(
    source: str, images: tuple[Path, ...], folder: Path, weights: str | None,
    shapes: dict[str, list[int | None]], labels: str | None, preprocess: str | None,
    methods: tuple[str, ...], layers: tuple[str, ...], measures: tuple[str, ...],
    truth: Path | None, classes: tuple[str, ...], output: str | None,
    settings: tuple[tuple[str, Any], ...], tuning: tuple[tuple[str, Any], ...], advise: bool,
    demands: tuple[tuple[str, Any], ...], batch: int, retry: bool, parquet: bool, engine: str,
    ray_address: str | None, actors: int | None, inputs: dict[str, Any], max_pixels: int,
    provider: str | None, threads: int | None, opened: bool, as_json: bool,
) -> None:  # fmt: skip
    """Score maps of methods and layers on IMAGES: one folder, or photographs.

    SOURCE is an artifact, or what `graftcam explain` makes one of.

    Every table has four rows that know nothing of the model: random, centre, sobel and intensity.
    A method that does not beat them is marked. DIR gets results.jsonl (a line a photograph),
    summary.json, and index.html with curves and the best and worst photographs. After an
    interruption, the same command continues.
    """
    from ..runtime.tools.evaluate.evaluate import place_of, run_evaluation
    from ..runtime.tools.evaluate.evaluator import Evaluator
    from ..runtime.tools.evaluate.report.parquet import write_scores
    from ..runtime.tools.evaluate.settings import EvaluationSettings
    from ..runtime.tools.jobs.parquet import need_pyarrow

    work = engine_of(engine, ray_address, actors)
    floors = _floors(demands)
    if parquet:
        need_pyarrow()
    where, only = place_of(images)
    wanted = Wanted(weights, shapes or None, labels, layers, output, methods)
    model = artifact_of(source, wanted, (), max_pixels)
    job = EvaluationSettings(
        str(model.resolve()), str(where), str(folder.resolve()), tuple(dict.fromkeys(methods)),
        layers, measures, None if truth is None else str(truth.absolute()), classes or None, output,
        dict(settings), dict(tuning), batch, provider, threads, max_pixels, preprocess, only,
        {name: _absolute(value) for name, value in inputs.items()},
    )  # fmt: skip
    worker = Evaluator(job)
    worker.check_demands(floors)
    try:
        with progress_bar("scoring") as bar:
            found, done = run_evaluation(worker, work, retry=retry, progress=bar)
    except KeyboardInterrupt:
        say("Interrupted; run the same command again to go on", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    files = [done.table, *found.save(folder)]
    if parquet:
        files.append(write_scores(done.table))
    _tell(found, files, advise=advise, as_json=as_json)
    if worker.drawn is not None and worker.drawn.unknown:
        names = ", ".join(worker.drawn.unknown)
        note(plain(f"left out, since no label of the model is theirs: {names}"))
    if opened:
        open_written([file for file in files if file.suffix == ".html"])
    low = found.below(floors)
    for reason in low:
        say(plain(reason), err=True)
    note(plain(f"ran on {done.provider}"))
    sys.exit(ExitCode.FAILED if low or done.failed else ExitCode.DONE)


def _tell(found: Evaluation, files: list[Path], *, advise: bool, as_json: bool) -> None:
    from ..runtime.json_text import write_json
    from ..runtime.tools.evaluate.report.text import describe

    chosen = found.pick() if advise else None
    failed = {row["path"]: row["error"] for row in found.rows if row["status"] == "failed"}
    if as_json:
        record = {
            **found.summary.to_dict(), "failures": failed, "files": [str(path) for path in files],
            **({"pick": None if chosen is None else vars(chosen)} if advise else {}),
        }  # fmt: skip
        say(write_json(record, indent=2))
        return
    if found.summary.photographs:
        say(describe(found.summary))
    for path, reason in failed.items():
        say(plain(f"failed: {path}: {reason}"), err=True)
    if advise:
        say(plain(str(chosen) if chosen else "nothing to pick: no photograph was scored"))
    for file in files:
        say(plain(f"-> {file}"))


def _absolute(value: Any) -> Any:
    """Return a file as an absolute path, since processes elsewhere may open it."""
    return str(Path(value).absolute()) if isinstance(value, (str, Path)) else value


def _floors(demands: tuple[tuple[str, Any], ...]) -> dict[str, float]:
    """Return the demands by measure, or fail as a usage error."""
    found: dict[str, float] = {}
    for name, value in demands:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise click.BadParameter(
                f"{name}={value} is no number; give one such as deletion=0.3",
                param_hint="'--at-least'",
            )
        found[name.replace("_", "-")] = float(value)
    return found
