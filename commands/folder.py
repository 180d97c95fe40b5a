"""`graftcam explain` on a folder explains any number of images, and can be interrupted."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..runtime import Request
    from ..runtime.tools.jobs.run import Engine, Progress, Summary
    from ..runtime.tools.jobs.settings import Settings

INTERRUPTED = 130  # the exit code of shells


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that only a folder of images has."""
    for option in (
        click.option("--actors", type=click.IntRange(1), metavar="N",
                     help="Ray: number of processes, each with a session on --threads cores "
                          "(default: 1). Default: as many as there are cores for."),
        click.option("--ray-address", metavar="ADDR",
                     help="Ray: the cluster, such as auto or ray://host:10001. Default: this "
                          "machine."),
        click.option("--engine", type=click.Choice(["local", "ray"]),
                     help="Folder: explain in this process, or on Ray. Default: local."),
        click.option("--parquet", is_flag=True,
                     help="Folder: also write the table as Parquet (needs pyarrow)."),
        click.option("--retry", is_flag=True,
                     help="Folder: explain images again that failed in an earlier run."),
        click.option("--batch", type=click.IntRange(1), metavar="N",
                     help="Folder: number of images explained together. Default: 8."),
    ):  # fmt: skip
        command = option(command)
    return command


def explain_folder(
    model: Path,
    images: Path,
    folder: Path,
    request: Request,
    drawing: Mapping[str, Any],
    *,
    provider: str | None,
    threads: int | None,
    as_json: bool,
    batch: int | None,
    retry: bool,
    parquet: bool,
    engine: str | None,
    ray_address: str | None,
    actors: int | None,
) -> None:
    """Explain a folder; exit with 1 if an image failed, with 130 if the user interrupted it."""
    from ..runtime.tools.jobs.parquet import need_pyarrow
    from ..runtime.tools.jobs.settings import Settings

    if engine != "ray" and (ray_address or actors):
        raise click.UsageError("--ray-address and --actors are for --engine ray")
    if parquet:
        need_pyarrow()
    model, images, folder = (path.resolve() for path in (model, images, folder))
    settings = Settings(
        str(model), str(images), str(folder), request, drawing, batch or 8, provider, threads
    )
    try:
        with _bar() as progress:
            summary = _run(settings, _engine(engine, ray_address, actors), retry, parquet, progress)
    except KeyboardInterrupt:
        click.echo("Interrupted; run the same command again to go on", err=True)
        sys.exit(INTERRUPTED)
    click.echo(json.dumps(asdict(summary), indent=2, default=str) if as_json else _text(summary))
    click.echo(f"ran on {summary.provider}", err=True)
    sys.exit(1 if summary.failed else 0)


def _engine(name: str | None, ray_address: str | None, actors: int | None) -> Engine:
    if name == "ray":
        from ..runtime.tools.jobs.cluster import on_ray

        return on_ray(ray_address, actors)
    from ..runtime.tools.jobs.run import local

    return local


def _run(
    settings: Settings, engine: Engine, retry: bool, parquet: bool, progress: Progress
) -> Summary:
    from ..runtime.tools.jobs.parquet import write_parquet
    from ..runtime.tools.jobs.run import run

    summary = run(settings, engine, retry=retry, progress=progress)
    if parquet:
        write_parquet(summary.table)
    return summary


def _text(summary: Summary) -> str:
    parts = [f"explained {summary.explained}"]
    if summary.failed:
        parts.append(f"failed {summary.failed} (the table says why; --retry tries again)")
    if summary.before:
        parts.append(f"{summary.before} of these in an earlier run")
    if summary.others:
        parts.append(f"skipped {summary.others} files whose names are not those of images")
    return f"{', '.join(parts)} -> {summary.table}"


@contextlib.contextmanager
def _bar() -> Generator[Progress]:
    """Show a progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label="explaining", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
