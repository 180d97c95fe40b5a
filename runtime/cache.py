"""A `Cache` keeps artifacts that were made of other models, each in a folder named by a digest.

    ~/.cache/graftcam/<key>/plain.onnx    # the artifact, and files beside it
    ~/.cache/graftcam/<key>/entry.json    # where it comes from, and a digest of each file

The key is a digest of everything that decides the artifact, so that nothing in the cache is ever
out of date. An entry appears whole, by a rename, or not at all: processes may share a cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from .checks import matches
from .drafts import draft
from .errors import CacheError, system_errors
from .limits import TEXT_BYTES
from .reading import file_sha256, read_file
from .strict_json import read_json
from .writing import guard

VARIABLE = "GRAFTCAM_CACHE"
"""The environment variable that names the folder."""

_RECORD = "entry.json"
_KEY = re.compile(r"[0-9a-f]{64}")
_REMEDY = f"; set {VARIABLE} to a folder that can be written"


class _Record(TypedDict):
    """What ``entry.json`` holds: source, name of the artifact, digests of all files, seconds."""

    source: str
    artifact: str
    files: dict[str, str]
    made: float


@dataclass(frozen=True)
class Entry:
    """An artifact in the cache.

    Attributes:
        source: What it was made of, in words.
        path: The artifact.
        bytes: Size of its folder.
        made: When it was made, in seconds since 1970.
    """

    source: str
    path: Path
    bytes: int
    made: float


def cache_folder() -> Path:
    """Return the folder of the cache: ``$GRAFTCAM_CACHE``, else ``graftcam`` in the user's cache.

    That is ``$XDG_CACHE_HOME``, else ``~/.cache``, by the XDG Base Directory Specification.

    Raises:
        CacheError: The user has no home folder.
    """
    try:
        if own := os.environ.get(VARIABLE):
            return Path(own).expanduser().absolute()
        users = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The specification ignores relative paths.
        return (users if users.is_absolute() else Path.home() / ".cache") / "graftcam"
    except RuntimeError as error:
        raise CacheError(f"no folder for the cache: {error}{_REMEDY}") from error


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of an artifact, from all that decides it, in types of JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """The artifacts in a folder.

    Attributes:
        folder: The folder; it need not exist.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Open the cache in ``folder``; None: `cache_folder`."""
        self.folder = cache_folder() if folder is None else folder

    def check(self) -> None:
        """Raise CacheError if the cache cannot be written, before the work of making an entry."""
        try:
            guard(self.folder, (), CacheError, folder=True)
        except CacheError as error:
            reason = str(error).removeprefix("cannot write ").rpartition("; ")[0]
            raise CacheError(f"cannot write the cache {reason}{_REMEDY}") from error

    def find(self, key: str) -> Entry | None:
        """Return an artifact; None if there is none, or a file of it is not as it was written."""
        found = self._read(key)
        if found is None:
            return None
        record, entry = found
        try:
            same = all(
                file_sha256(entry.path.with_name(name)) == digest
                for name, digest in record["files"].items()
            )
        except OSError:
            return None
        return entry if same else None

    def add(self, key: str, source: str, make: Callable[[Path], Path]) -> Entry:
        """Make an artifact and keep it, in place of a broken one.

        Args:
            key: Its key.
            source: What it is made of, in words.
            make: Writes it into the folder that it is called with, and returns its path.

        Returns:
            The artifact; that of another process, if it was faster.

        Raises:
            CacheError: The cache cannot be written.
        """
        self.check()
        failed = f"cannot write the cache {self.folder}"
        with contextlib.ExitStack() as stack:
            with system_errors(CacheError, failed, _REMEDY):
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                place = stack.enter_context(draft(self.folder, directory=True))
            artifact = make(place)
            with system_errors(CacheError, failed, _REMEDY):
                self._publish(key, place, source, artifact)
        entry = self.find(key)
        if entry is None:
            raise CacheError(f"{failed}: an entry of it vanished or changed; run the command again")
        return entry

    def entries(self) -> list[Entry]:
        """Return all artifacts, the newest first."""
        found = (self._read(folder.name) for folder in self._folders())
        entries = [one[1] for one in found if one is not None]
        return sorted(entries, key=lambda entry: entry.made, reverse=True)

    def clear(self) -> tuple[int, int]:
        """Remove all artifacts, broken ones as well; return their number and their bytes.

        Other files in the folder stay.

        Raises:
            CacheError: One cannot be removed.
        """
        folders = self._folders()
        sizes = [_size(folder) for folder in folders]
        for folder in folders:
            self._remove(folder)
        return len(folders), sum(sizes)

    def _publish(self, key: str, place: Path, source: str, artifact: Path) -> None:
        """Write the record of an entry, and rename its folder."""
        files = {one.name: file_sha256(one) for one in sorted(place.iterdir())}
        record = _Record(source=source, artifact=artifact.name, files=files, made=time.time())
        (place / _RECORD).write_text(json.dumps(record), "utf-8")
        target = self.folder / key
        try:
            place.rename(target)
        except OSError:  # there is an entry: of another process, or a broken one
            if self.find(key) is None:
                self._remove(target)
                place.rename(target)

    def _read(self, key: str) -> tuple[_Record, Entry] | None:
        folder = self.folder / key
        try:
            data: Any = read_json(read_file(folder / _RECORD, CacheError, TEXT_BYTES))
        except (CacheError, ValueError):
            return None
        if not matches(data, _Record):
            return None
        record = cast("_Record", data)
        names = [*record["files"], record["artifact"]]
        if record["artifact"] not in record["files"] or any(Path(n).name != n for n in names):
            return None
        path = folder / record["artifact"]
        return record, Entry(record["source"], path, _size(folder), record["made"])

    def _folders(self) -> list[Path]:
        """Return the folders of entries; nothing else in the folder is ours."""
        try:
            inside = sorted(self.folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise CacheError(
                f"cannot read the cache {self.folder}: {error.strerror}{_REMEDY}"
            ) from error
        return [one for one in inside if _KEY.fullmatch(one.name) and not one.is_symlink()]

    def _remove(self, folder: Path) -> None:
        """Remove an entry: it vanishes whole, before its files are deleted."""
        failed = f"cannot remove {folder}"
        with (
            system_errors(CacheError, failed, "; delete it"),
            draft(self.folder, directory=True) as place,
            contextlib.suppress(FileNotFoundError),  # another process removed it
        ):
            folder.rename(place / folder.name)


def _size(folder: Path) -> int:
    try:
        return sum(one.stat().st_size for one in folder.iterdir())
    except OSError:
        return 0
