"""`Images` is what the IMAGES of `graftcam explain` are; `explain_images` explains single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime.json_text import write_json
from .clipboard import pasted
from .common import meter, note, progress_bar, say
from .drawing import Drawing
from .opening import open_written
from .terminal import coloured
from .video_options import videos_among

if TYPE_CHECKING:
    from ..runtime import Explainer, Request

_MANY = 8  # with this many images, the progress counts images instead of runs


@dataclass(frozen=True)
class Images:
    """What is to be explained.

    Attributes:
        called: Files, and how each is called.
        folder: The folder among them, if any.
        are_videos: Whether they are videos, or a camera.
    """

    called: Sequence[tuple[Path, Path]]
    folder: Path | None
    are_videos: bool

    @classmethod
    def of(cls, given: Sequence[Path]) -> Images:
        """Return what the arguments are.

        Raises:
            ImageError: The clipboard has no image.
            click.UsageError: Videos and images are mixed.
        """
        called = pasted(given)
        files = [file for file, _ in called]
        folder = next((path for path in files if path.is_dir()), None)
        return cls(called, folder, videos_among(files))

    @property
    def files(self) -> list[Path]:
        """The files to read."""
        return [file for file, _ in self.called]

    @property
    def as_one(self) -> bool:
        """Whether many images are explained in one run, by one request."""
        return self.folder is not None or self.are_videos

    def placed(self, value: Any) -> Any:
        """Return a file as text; an absolute one where processes elsewhere may open it.

        What is no file stays as it is.
        """
        if not isinstance(value, (str, Path)):
            return value
        # A folder's images may be explained by processes that run elsewhere.
        return str(Path(value) if self.folder is None else Path(value).absolute())

    def refuse_numbers(self, boxes: Sequence[Any]) -> None:
        """Refuse numbers of a detector's boxes where there is more than one image.

        Raises:
            click.UsageError: They are given.
        """
        if self.as_one and boxes:
            raise click.UsageError(
                "a folder or video takes no --box N: the numbers are of one image"
            )


def no_folder() -> click.MissingParameter:
    """Return the error of images for whose explanations there is no place."""
    return click.MissingParameter(param_type="option", param_hint="'-o' / '--to'")


def explain_images(
    explainer: Explainer,
    called: Sequence[tuple[Path, Path]],
    request: Request,
    methods: Sequence[str],
    further: dict[str, Any],
    drawing: Drawing,
    folder: Path,
    *,
    as_json: bool,
    opened: bool,
) -> None:
    """Explain images one by one: write an overlay for each class, and say what was seen.

    Args:
        explainer: The artifact.
        called: Photographs, or files of what the model takes, and how each is called.
        request: What to explain.
        methods: Ids of methods; empty: Grad-CAM.
        further: Values of further inputs.
        drawing: How to draw.
        folder: Where to.
        as_json: Print JSON instead of lines.
        opened: Show what was written.
    """
    from ..runtime.inputs.names import Names
    from ..runtime.output.text import describe_explanation

    drawing.check(folder)
    names = Names()
    each, many = list(dict.fromkeys(methods or ("gradcam",))), len(called) >= _MANY
    colour = coloured()
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    with progress_bar("explaining", hidden=not many) as bar:
        bar(0, len(called))
        for count, (file, path) in enumerate(called, 1):
            request["progress"] = None if many else meter(path.name)
            for example in explainer.read_file(file, further):
                name = names.distinct(example.name)
                own: Any = {**request, "inputs": None}
                compared = explainer.compare(example, each, **own)
                found = [replace(one, name=name) for one in compared]
                for one, saved in zip(found, drawing.write(found, folder), strict=True):
                    files = [str(file) for file in saved]
                    rows.append({**one.to_dict(), "image": str(path), "files": files})
                    texts.append(describe_explanation(path, one, saved, colour=colour))
            bar(count, len(called))
    say(write_json(rows, indent=2) if as_json else "\n".join(texts), colour=colour)
    note(f"ran on {explainer.provider}")
    if opened:
        open_written([Path(file) for row in rows for file in row["files"]])
