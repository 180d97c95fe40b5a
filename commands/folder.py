"""`graftcam explain` on a folder explains any number of images, and can be interrupted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click import option

from ..runtime.exit_codes import ExitCode
from ..runtime.json_text import write_json
from ..runtime.plain_text import plain
from .common import note, progress_bar, say
from .opening import open_written
from .sections import Section, under

if TYPE_CHECKING:
    from ..runtime.tools.jobs.run import Engine, Summary
    from ..runtime.tools.jobs.settings import Settings

FOLDERS = Section(
    "Folders",
    "If IMAGES is one folder, all images in it and its subfolders are explained. Overlays are "
    "written to DIR/overlays, and one line for each image to DIR/results.jsonl. After an "
    "interruption, the same command continues. An image that fails is recorded and stops nothing; "
    "the exit code is then 1.",
)
folder_options = under(
    FOLDERS,
    option("--batch", type=click.IntRange(1), metavar="N",
           help="Number of images explained together, also of a video. Default: 8, of a video 4."),
    option("--retry", is_flag=True,
           help="Explain images again that failed in an earlier run, or changed since."),
    option("--parquet", is_flag=True,
           help="Also write the table as Parquet (needs pyarrow)."),
    option("--engine", type=click.Choice(["local", "ray"]),
           help="Explain in this process, or on Ray. Default: local."),
    option("--ray-address", metavar="ADDR",
           help="Ray: the cluster, such as auto or ray://host:10001. Default: this machine."),
    option("--actors", type=click.IntRange(1), metavar="N",
           help="Ray: number of processes, each with a session on --threads cores (1, if not "
                "given). Default: as many as there are cores for."),
)  # fmt: skip


@dataclass(frozen=True)
class FolderSettings:
    """The values of the options.

    Attributes:
        batch: Number of images that are explained together; None: the default.
        retry: Explain images again that failed or changed.
        parquet: Write the table as Parquet, too.
        engine: "local" or "ray"; None: the default.
        ray_address: The cluster.
        actors: Number of processes on it.
    """

    batch: int | None
    retry: bool
    parquet: bool
    engine: str | None
    ray_address: str | None
    actors: int | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> FolderSettings:
        """Return them from a command's options."""
        return cls(**{one.name: options[one.name] for one in fields(cls)})

    @property
    def given(self) -> list[str]:
        """The options that were given, as on the command line."""
        return [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value]


def engine_of(engine: str | None, ray_address: str | None, actors: int | None) -> Engine:
    """Return what does a job: this process, or Ray.

    Raises:
        click.UsageError: Options of Ray come without it.
    """
    from ..runtime.tools.jobs.cluster import on_ray
    from ..runtime.tools.jobs.run import local

    if engine != "ray" and (ray_address or actors):
        raise click.UsageError("--ray-address and --actors are for --engine ray")
    return on_ray(ray_address, actors) if engine == "ray" else local


def explain_folder(
    job: Settings, of_folder: FolderSettings, *, as_json: bool, opened: bool
) -> NoReturn:
    """Explain a folder; exit with 1 if an image failed, with 130 if the user interrupted it."""
    from ..runtime.tools.jobs.parquet import need_pyarrow, write_parquet
    from ..runtime.tools.jobs.run import run

    work = engine_of(of_folder.engine, of_folder.ray_address, of_folder.actors)
    if of_folder.parquet:
        need_pyarrow()
    try:
        with progress_bar("explaining") as bar:
            summary = run(job, work, retry=of_folder.retry, progress=bar)
            if of_folder.parquet:
                write_parquet(summary.table)
    except KeyboardInterrupt:
        say("Interrupted; run the same command again to go on", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    say(write_json(asdict(summary), indent=2, default=str) if as_json else _text(summary))
    note(f"ran on {summary.provider}")
    if opened:
        open_written([summary.table.parent])
    sys.exit(ExitCode.FAILED if summary.failed else ExitCode.DONE)


def _text(summary: Summary) -> str:
    parts = [f"explained {summary.explained}"]
    if summary.failed:
        parts.append(f"failed {summary.failed} (the table says why; --retry tries again)")
    if summary.before:
        parts.append(f"{summary.before} of these in an earlier run")
    if summary.changed:
        parts.append(f"{summary.changed} changed since (--retry explains them again)")
    if summary.others:
        parts.append(f"skipped {summary.others} files whose names are not those of images")
    return plain(f"{', '.join(parts)} -> {summary.table}")
