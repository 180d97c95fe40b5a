"""`find_images` lists the images of a folder by suffix, in the same order on every machine.

For a model that takes arrays, sound or scans, their files count as its images.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from pathlib import Path

from ...errors import ImageError
from ...inputs.image_names import SUFFIXES


def find_images(
    folder: Path, leave_out: Path, suffixes: tuple[str, ...] = SUFFIXES
) -> tuple[list[str], int]:
    """List the images in ``folder`` and its subfolders, except those in ``leave_out``.

    Names that begin with a dot are skipped; links to folders are not followed.

    Args:
        folder: The folder.
        leave_out: A folder inside it.
        suffixes: Endings of the files' names, in lower case.

    Returns:
        Paths of the images relative to the folder, with ``/``, sorted; and the number of files
        whose suffix is not that of an image.

    Raises:
        ImageError: A folder cannot be read, or there are no images.
    """
    if not folder.is_dir():
        raise ImageError(f"no folder {folder}; give a folder of images")
    files = list(_files(folder, leave_out.resolve()))
    images = sorted(
        file.relative_to(folder).as_posix()
        for file in files
        if file.name.lower().endswith(suffixes)
    )
    if not images:
        photographs = sum(file.name.lower().endswith(SUFFIXES) for file in files)
        reason = (
            f"{photographs} photographs, which it takes only with the transform of its training: "
            "give preprocess=... (--preprocess imagenet, unit or raw) here or to the export"
            if photographs
            else f"{len(files)} other files"
        )
        raise ImageError(
            f"{folder} contains no images that the model takes ({reason}); names of what it "
            "explains end in " + ", ".join(suffixes)
        )
    return images, len(files) - len(images)


def image_paths(
    folder: Path, leave_out: Path | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> list[Path]:
    """Return the paths of the images in ``folder`` and below; see `find_images`."""
    return [folder / name for name in find_images(folder, leave_out or folder, suffixes)[0]]


def all_paths(
    given: Iterable[Path], leave_out: Path | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> list[Path]:
    """Return files as they are given, and of each folder among them its images."""
    found = list[Path]()
    for one in given:
        found += image_paths(one, leave_out, suffixes) if one.is_dir() else [one]
    return found


def _files(folder: Path, leave_out: Path) -> Generator[Path]:
    def refuse(error: OSError) -> None:
        raise ImageError(
            f"cannot read {error.filename}: {error.strerror}; make it readable, or move it out of "
            f"{folder}"
        ) from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        here = Path(place)
        folders[:] = [
            name for name in folders
            if not name.startswith(".") and (here / name).resolve() != leave_out
        ]  # fmt: skip
        yield from (here / name for name in names if not name.startswith("."))
