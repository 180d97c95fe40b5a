"""Where the explanation of a video is written: a video, or a file for each frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from ..runtime.errors import RenderError
from .video_options import camera_of


def wants_files() -> bool:
    """Whether each frame is to be a file: a format was asked for."""
    from ..runtime.output.video import SUFFIXES

    context = click.get_current_context()
    given = context.get_parameter_source("kind") is ParameterSource.COMMANDLINE
    return given and f".{context.params['kind']}" not in SUFFIXES


def stem_of(path: Path) -> str:
    """Return the start of the names of what is written of a video or camera."""
    return path.stem if camera_of(path) is None else f"camera-{path}"


def places_of(videos: Sequence[Path], target: Path | None) -> list[Path | None]:
    """Return what is written of each video: a file, or the folder of its frames.

    Raises:
        RenderError: It cannot be written, or is no video.
    """
    from ..runtime.inputs.names import Names, file_name
    from ..runtime.output.save import names_file
    from ..runtime.output.video import SUFFIXES, check_video_path
    from ..runtime.writing import guard

    if target is None:
        return [None] * len(videos)
    named = target.suffix.lower() in SUFFIXES and not target.is_dir()
    if wants_files():
        if named or names_file(target):
            raise RenderError(f"--format writes a file for each frame; give a folder, not {target}")
        guard(target, (), RenderError, folder=True)
        return [target] * len(videos)
    if named:
        if len(videos) > 1:
            raise RenderError(f"{target} is one file for several videos; give a folder: -o out")
        check_video_path(target)
        return [target]
    if names_file(target):
        raise RenderError(f"{target} is no video; use one of {', '.join(SUFFIXES)}, or a folder")
    names = Names()
    stems = [names.distinct(f"{stem_of(path)}-explained") for path in videos]
    places = [target / file_name(stem, ".mp4") for stem in stems]
    for place in places:
        check_video_path(place)
    return [*places]
