"""`graftcam explain` on a folder: thousands of images, a table, and going on where it stopped."""

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

INTERRUPTED = 130  # as shells say it


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a folder of images can be explained with, beside what an image can."""
    for option in (
        click.option("--actors", type=click.IntRange(1), metavar="N",
                     help="On Ray: processes with a session each, of --threads cores (default: 1). "
                          "Default: as many as the cores hold."),
        click.option("--ray-address", metavar="ADDR",
                     help="On Ray: a cluster, as auto or ray://host:10001. Default: this machine."),
        click.option("--engine", type=click.Choice(["local", "ray"]),
                     help="Of a folder: who explains, this process or Ray. Default: local."),
        click.option("--parquet", is_flag=True,
                     help="Of a folder: write the table as Parquet, too (needs pyarrow)."),
        click.option("--retry", is_flag=True,
                     help="Of a folder: explain those again that failed in an earlier run."),
        click.option("--batch", type=click.IntRange(1), metavar="N",
                     help="Of a folder: images explained together. Default: 8."),
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
    """Explain a folder; exit code 1 where an image failed, 130 where the user interrupted it."""
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
    click.echo(json.dumps(asdict(summary), indent=2, default=str) if as_json else _told(summary))
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


def _told(summary: Summary) -> str:
    parts = [f"explained {summary.explained}"]
    if summary.failed:
        parts.append(f"failed {summary.failed} (the table says why; --retry tries again)")
    if summary.before:
        parts.append(f"{summary.before} of these in an earlier run")
    if summary.others:
        parts.append(f"passed over {summary.others} files that are no images by their names")
    return f"{', '.join(parts)} -> {summary.table}"


@contextlib.contextmanager
def _bar() -> Generator[Progress]:
    """A progress bar on stderr, if someone is watching."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label="explaining", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
