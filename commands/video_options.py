"""The options of `graftcam explain` that are about videos, and which of its images are videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
from click import option

from ..runtime.inputs.video_names import SUFFIXES
from .sections import Section, under

VIDEOS = Section(
    "Videos and cameras",
    "A video (.mp4, .mov, .avi, .mkv, ...) becomes an explained video, DIR/NAME-explained.mp4, or "
    "with --format png an image for each frame. A number instead of a file is a camera: 0 is the "
    "first. Frames are shown in a window where there is a screen; q ends it.",
)


class Time(click.ParamType):
    """A time of a video: seconds, or ``minutes:seconds``, or with hours before."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return seconds, or fail as a usage error."""
        if not isinstance(value, str):
            return value
        parts = value.split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3 or not all(0 <= one < 1e7 for one in numbers):
            self.fail(f"{value!r} is no time such as 12.5, 1:30 or 1:02:03", param, ctx)
        total = 0.0
        for one in numbers:
            total = 60 * total + one
        return total


video_options = under(
    VIDEOS,
    option("--every", type=click.IntRange(1), metavar="N",
           help="Explain each frame of this many. Default: all."),
    option("--start", type=Time(),
           help="Of a video: the time of the first frame, such as 12.5 or 1:30."),
    option("--end", type=Time(),
           help="Of a video: the time to end at. Of a camera: for how long."),
    option("--smooth", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE",
           help="Average each class's map with those of the frames before, which "
                "count as much as this. Default: 0, not at all."),
    option("--window/--no-window", default=None,
           help="Show the frames in a window. Default: if there is a screen, for a "
                "camera, and without -o."),
)  # fmt: skip


@dataclass(frozen=True)
class VideoSettings:
    """The values of the options; None where one is not given.

    Attributes:
        every: Explain each frame of this many.
        start: Seconds before the first frame.
        end: Seconds at which to end.
        smooth: Weight of earlier maps.
        window: Whether to show frames.
    """

    every: int | None
    start: float | None
    end: float | None
    smooth: float | None
    window: bool | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> VideoSettings:
        """Return them from a command's options."""
        return cls(**{one.name: options[one.name] for one in fields(cls)})

    @property
    def given(self) -> list[str]:
        """The options that were given, as on the command line."""
        return [f"--{name}" for name, value in vars(self).items() if value is not None]


def camera_of(path: Path) -> int | None:
    """Return the number of the camera that an argument names; None if it is none."""
    text = str(path)
    return int(text) if text.isdecimal() and len(text) < 4 and not path.exists() else None


def is_video(path: Path) -> bool:
    """Whether an argument names a video file or a camera."""
    return path.name.lower().endswith(SUFFIXES) or camera_of(path) is not None


def videos_among(images: Sequence[Path]) -> bool:
    """Whether the arguments are videos; some of them are an error.

    Raises:
        click.UsageError: Videos and images are mixed, or a camera is one of several.
    """
    found = [path for path in images if is_video(path)]
    if found and len(found) < len(images):
        other = next(path for path in images if path not in found)
        raise click.UsageError(
            f"{found[0]} is a video and {other} is none; explain them by two commands"
        )
    cameras = [path for path in found if camera_of(path) is not None]
    if cameras and len(found) > 1:
        raise click.UsageError(f"a camera ({cameras[0]}) must be the only one of the IMAGES")
    return bool(found)
