"""A job's table is ``results.jsonl``, one line for each image; an interruption cannot damage it.

A line is JSON with sorted keys, in ASCII: the same rows are the same bytes. While a job runs, lines
are appended, those of a batch in one write that is on the disk before the next one begins. A
partial line of a killed process is removed when the table is opened again. At the end the lines
are in the order of the paths, each path once.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NotRequired, TypedDict

from ...checks import matches
from ...drafts import DRAFTS, remove_dead
from ...errors import JobError, system_errors
from ...json_text import write_json
from ...strict_json import read_json
from ...writing import atomic_write, replace_file

RESULTS = "results.jsonl"


class Row(TypedDict):
    """One image.

    Attributes:
        path: Path relative to the folder, with ``/``.
        status: ``ok`` or ``failed``.
        error: Why it failed, and the remedy; None if it did not.
        width: Width of the upright image in pixels; None if it failed or is no image.
        height: Its height, likewise.
        layer: The target layer; None if it failed.
        method: The method; None if it failed.
        classes: A record for each explained class: id, label, score, probability, status of its
            map (ok, zero, constant, nonfinite) and the map's maximum.
        files: The overlays, one for each class, relative to the table's folder; of a detector one
            picture of all boxes, or none where there are no boxes.
        boxes: Only of detectors: a record for each detection, the best first; empty if nothing is
            detected. See `tools.jobs.boxes.box_records`.
    """

    path: str
    status: Literal["ok", "failed"]
    error: str | None
    width: int | None
    height: int | None
    layer: str | None
    method: str | None
    classes: list[dict[str, Any]]
    files: list[str]
    boxes: NotRequired[list[dict[str, Any]]]


class Table:
    """A job's table, which one process at a time may open.

    Attributes:
        path: Its file.
        recorded: Status of each image that has a row.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any], row: type = Row) -> None:
        """Begin a table in ``folder``, or continue the one that is there.

        Args:
            folder: Created if it does not exist.
            record: What all rows have in common, as JSON; stored in ``job.json``.
            row: The type of a row: at least ``path`` and ``status``.

        Raises:
            JobError: The folder cannot be written, is in use by another job, or contains the
                results of a job with another ``record``.
        """
        self.path = folder / RESULTS
        self.recorded: dict[str, str] = {}
        self._row = row
        self._places: dict[str, tuple[int, int]] = {}
        self._made = not folder.exists()
        self._job = folder / "job.json"
        with _trouble(folder), contextlib.ExitStack() as lock:
            folder.mkdir(parents=True, exist_ok=True)
            _lock(folder, lock)
            self._begin(record)
            self._file: BinaryIO = self.path.open("a+b")
            self._read()
            self._lock = lock.pop_all()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows: all of them, or none if the disk is full.

        Raises:
            JobError: They cannot be written.
        """
        rows = list(rows)
        lines = [_line(row) for row in rows]
        end = self._file.seek(0, os.SEEK_END)
        try:
            with _trouble(self.path):
                self._file.write(b"".join(lines))
                self._file.flush()
                os.fsync(self._file.fileno())
        except JobError:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise
        for row, line in zip(rows, lines, strict=True):
            self._note(row, end, len(line))
            end += len(line)

    def drop(self, paths: Iterable[str]) -> None:
        """Remove the rows of these images.

        Raises:
            JobError: The table cannot be written.
        """
        dropped = set(paths)
        self._rewrite([path for path in self._places if path not in dropped])

    def finish(self) -> None:
        """Put the rows in the order of their paths, each path once: its last row.

        Raises:
            JobError: The table cannot be written.
        """
        size = sum(length for _, length in self._places.values())
        in_order = list(self._places) == sorted(self._places)
        if not in_order or size != self._file.seek(0, os.SEEK_END):
            self._rewrite(sorted(self._places))

    def close(self) -> None:
        """Close the table; one without rows is deleted, with the folders created for it."""
        self._file.close()
        if not self.recorded:
            with contextlib.suppress(OSError):
                self.path.unlink()
                self._job.unlink()
        self._lock.close()
        if not self.recorded and self._made:
            folder = self.path.parent
            empty = [path for path in folder.rglob("*") if path.is_dir()]
            for place in [*sorted(empty, reverse=True), folder]:
                with contextlib.suppress(OSError):
                    place.rmdir()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, record: Mapping[str, Any]) -> None:
        """Refuse the results of another job; else write this job's record and remove old drafts."""
        # Through JSON, which turns tuples into lists.
        now = json.loads(write_json(record))
        if not self._job.exists():
            if self.path.exists():
                raise JobError(f"{self.path} is not a job's table; choose another output folder")
            text = json.dumps(now, sort_keys=True, indent=2)
            replace_file(self._job, f"{text}\n".encode(), JobError)
            return
        try:
            before = read_json(self._job.read_bytes())
        except ValueError:
            before = None
        if not isinstance(before, dict) or before != now:
            different = [
                f"{key} was {json.dumps(before.get(key))}, is {json.dumps(value)}"
                for key, value in now.items()
                if isinstance(before, dict) and before.get(key) != value
            ]
            raise JobError(
                f"{self.path.parent} contains the results of another job "
                f"({'; '.join(different) or 'job.json is damaged'}); choose another output folder, "
                "or delete this one"
            )
        remove_dead(self.path.parent.rglob(DRAFTS))

    def _read(self) -> None:
        """Index the rows; remove the partial line of a killed process."""
        self._file.seek(0)
        place = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                self._file.truncate(place)
                break
            try:
                row = read_json(line)
                if not matches(row, self._row):
                    raise ValueError("it has other fields")
            except ValueError as error:
                raise JobError(
                    f"{self.path}, line {number}: not a job's row; delete the line, or choose "
                    f"another output folder ({error})"
                ) from None
            self._note(row, place, len(line))
            place += len(line)

    def _note(self, row: Mapping[str, Any], place: int, length: int) -> None:
        path = row["path"]
        # At the end, as in the file: the order shows whether the table is sorted.
        self._places.pop(path, None)
        self._places[path] = (place, length)
        self.recorded[path] = row["status"]

    def _bytes(self, path: str) -> bytes:
        place, length = self._places[path]
        self._file.seek(place)
        return self._file.read(length)

    def _rewrite(self, paths: Sequence[str]) -> None:
        """Replace the table by the rows of these images, in one step."""
        with _trouble(self.path):
            with atomic_write(self.path, JobError) as draft:
                with draft.open("wb") as file:
                    file.writelines(self._bytes(path) for path in paths)
                    file.flush()
                    os.fsync(file.fileno())
                self._file.close()  # Windows cannot replace an open file
            self._file = self.path.open("a+b")
            self.recorded, self._places = {}, {}
            self._read()


def _line(row: Mapping[str, Any]) -> bytes:
    text = write_json(row, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def _trouble(path: Path) -> contextlib.AbstractContextManager[None]:
    """Convert an error of the file system to a JobError of one line."""
    return system_errors(JobError, f"cannot write {path}", "; run the same command again to go on")


def _lock(folder: Path, lock: contextlib.ExitStack) -> None:
    """Lock other processes out of ``folder`` until ``lock`` is closed, if the system can do so."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    handle = os.open(folder, os.O_RDONLY)
    lock.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JobError(
            f"another job is writing to {folder}; wait until it ends, or choose another output "
            "folder"
        ) from None
    except OSError:  # a file system without locks
        pass
