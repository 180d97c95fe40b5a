"""`run` does a job, from the folder of images to the table, on any engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ...errors import JobError
from ...inorder import batched, in_order
from ...plain_text import unicode_only
from ...writing import guard
from .settings import Settings
from .table import RESULTS, Table
from .work import OVERLAYS, Worker

Batch: TypeAlias = list[str]


class Work(Protocol):
    """What is done to each batch of a job; it can be made anew from its settings.

    Attributes:
        settings: The job, which can be sent to another process.
        provider: The execution provider in use.
        artifact: A digest of the model's metadata.
        row: The type of a row.
    """

    settings: Any
    provider: str
    artifact: str
    row: type

    def find(self, output: Path) -> tuple[list[str], int]:
        """Return the images of the job, and the number of other files; see `find_images`."""
        ...

    def __call__(self, paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Return a row for each image of a batch, in order."""
        ...


Rows: TypeAlias = Sequence[Mapping[str, Any]]
Engine: TypeAlias = Callable[[Work, Sequence[Batch]], Generator[Rows]]
"""An engine does the work on each batch and yields the rows of batches in any order."""

Progress: TypeAlias = Callable[[int, int], None]

# One batch is drawn and one is read while a third is explained.
_WORKERS = 3


@dataclass(frozen=True)
class Summary:
    """The result of a job.

    Attributes:
        table: The table's file.
        explained: Number of images with an explanation.
        failed: Number of images without one.
        before: Number of both that an earlier run recorded.
        changed: Number of those whose file is newer than the earlier table, and that were not
            explained again.
        others: Number of files of the folder whose suffix is not that of an image.
        provider: The execution provider in use.
    """

    table: Path
    explained: int
    failed: int
    before: int
    changed: int
    others: int
    provider: str


def local(worker: Work, batches: Sequence[Batch]) -> Generator[Rows]:
    """Do the batches in threads of this process, in their order."""
    return in_order(worker, batches, _WORKERS, ahead=_WORKERS)


def run(
    settings: Settings,
    engine: Engine = local,
    *,
    retry: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Explain every image of the folder that has no row in the table yet.

    Batches are cut from the list of all images, whatever is recorded already, so that a job that
    was interrupted ends with the same rows as one that was not.

    Args:
        settings: The job.
        engine: Where it is done.
        retry: Explain images again that failed, or whose file is newer than the table.
        progress: Called with the number of images that have a row and of all images.

    Raises:
        GraftcamError: The folder contains no images or cannot be read, the artifact or the request
            is wrong, or the results cannot be written or would lie among the images.
    """
    _check_places(settings)
    return do(Worker(settings), engine, retry=retry, progress=progress)


def do(
    worker: Work,
    engine: Engine = local,
    *,
    retry: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Do a job's work on every image that has no row in the table yet; see `run`."""
    settings = worker.settings
    folder, output = Path(settings.images), Path(settings.output)
    guard(output, [folder, settings.model], JobError, folder=True)
    images, others = worker.find(output)
    newer = _newer(folder, images, output / RESULTS)
    with Table(output, settings.record(worker.artifact), worker.row) as table:
        changed = newer & table.recorded.keys()
        if retry:
            failed_before = {path for path, state in table.recorded.items() if state == "failed"}
            table.drop(failed_before | changed)
            changed = set[str]()
        before = len(table.recorded)
        whole = batched(images, settings.batch)
        known = table.recorded.keys()
        batches = [batch for batch in whole if not known >= set(map(unicode_only, batch))]
        with closing(engine(worker, batches)) as done:
            for rows in done:
                table.add(rows)
                if progress:
                    progress(len(table.recorded), len(images))
        table.finish()
        failed = sum(status == "failed" for status in table.recorded.values())
        explained = len(table.recorded) - failed
        return Summary(table.path, explained, failed, before, len(changed), others, worker.provider)


def _newer(folder: Path, images: Sequence[str], table: Path) -> set[str]:
    """Return the images that were written after an earlier run's table, as paths of its rows."""
    try:
        since = table.stat().st_mtime_ns
    except OSError:
        return set()
    found: set[str] = set()
    for name in images:
        with suppress(OSError):
            if (folder / name).stat().st_mtime_ns > since:
                found.add(unicode_only(name))
    return found


def _check_places(settings: Settings) -> None:
    """Refuse an output folder whose overlays would lie among the images.

    The next run would explain them, and one could replace an image.
    """
    folder, output = Path(settings.images), Path(settings.output)
    guard(output, [folder, settings.model], JobError, folder=True)
    if folder.resolve().is_relative_to((output / OVERLAYS).resolve()):
        raise JobError(
            f"cannot write {output}: its {OVERLAYS} would lie among the images of {folder}; choose "
            "another output folder"
        )
