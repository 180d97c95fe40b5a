"""A `Worker` explains the images of a batch and returns rows of the table."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from ...errors import RenderError, system_errors
from ...explain.stream import OF_ONE_EXAMPLE, Failure, failure_of
from ...explainer import Explainer
from ...output.box_explanation import BoxExplanation
from ...output.box_files import boxes_file, write_boxes
from ...output.explanation import Explanation
from ...output.printed import WIDTH
from ...output.render import LookOptions
from ...plain_text import plain, unicode_only
from .boxes import box_records
from .find import find_images
from .settings import Settings
from .table import Row

OVERLAYS = "overlays"
"""The folder for drawings, in the output folder."""
# Of a path that is too long or that the file system cannot write. Others are of the whole disk.
_OF_ONE_PATH = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


class Worker:
    """Explains batches of a folder's images; safe to share between threads.

    A batch gives the same rows and files on every worker and every time, on one kind of
    processor and one version of ONNX Runtime.

    Attributes:
        settings: The job.
        provider: The execution provider in use.
        suffixes: Endings of the names of the files that the model explains.
        artifact: A digest of the model's metadata, which contains those of its graph and weights.
        row: The type of a row.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the artifact and check the request.

        Raises:
            GraftcamError: As ``Explainer``, and as ``Explainer.explain`` for its request.
        """
        self.settings = settings
        self._explainer = Explainer(
            settings.model, settings.provider, settings.threads, max_pixels=settings.max_pixels,
            preprocess=settings.preprocess,
        )  # fmt: skip
        self._explainer.explain([], **settings.request)  # no image: only checks
        self.provider = self._explainer.provider
        self.suffixes = self._explainer.suffixes
        self.artifact = hashlib.sha256(self._explainer.spec.to_json().encode()).hexdigest()

    row = Row

    def find(self, output: Path) -> tuple[list[str], int]:
        """Return the images of the folder, except those in ``output``; see `find_images`."""
        return find_images(Path(self.settings.images), output, self.suffixes)

    def __call__(self, paths: Sequence[str]) -> list[Row]:
        """Explain one batch: write its overlays and return one row for each image, in order.

        An image that cannot be explained gets a row with the reason.

        Args:
            paths: Images, relative to the folder, with ``/``.

        Raises:
            SessionError: ONNX Runtime failed.
            RenderError: An overlay cannot be drawn or written.
        """
        folder = Path(self.settings.images)
        # The whole file name: a folder may hold photo.jpg beside photo.png.
        named = [(Path(path).name, folder / path) for path in paths]
        found = self._explainer.explain_named(named, **self.settings.request)
        return [self._row(path, one) for path, one in zip(paths, found, strict=True)]

    def _row(self, path: str, found: Explanation | Failure) -> Row:
        if not isinstance(found, Failure):
            try:
                return self._drawn(path, found)
            except OF_ONE_EXAMPLE as error:
                found = failure_of(path, error)
            except RenderError as error:
                if getattr(error.__cause__, "errno", None) not in _OF_ONE_PATH:
                    raise
                found = Failure(path, error)
        # Without the folder's path, which is not a property of the image.
        error = str(found.error).replace(f"{plain(self.settings.images)}/", "")
        row = Row(
            path=unicode_only(path), status="failed", error=error, width=None, height=None,
            layer=None, method=None, classes=[], files=[],
        )  # fmt: skip
        if self._explainer.spec.detector is not None:
            row["boxes"] = []
        return row

    def _drawn(self, path: str, found: Explanation) -> Row:
        """Write the files of an explained image and return its row."""
        target = Path(self.settings.output, OVERLAYS, path).parent
        with system_errors(RenderError, f"cannot make {target}"):
            target.mkdir(parents=True, exist_ok=True)
        saved = _saved(found, target, **self.settings.drawing)
        files = [unicode_only(file.relative_to(self.settings.output).as_posix()) for file in saved]
        # Only images have a width and a height.
        summary: dict[str, Any] = {"width": None, "height": None, **found.to_dict()}
        shared = {name: summary[name] for name in ("width", "height", "layer", "method", "classes")}
        row = Row(path=unicode_only(path), status="ok", error=None, files=files, **shared)
        if isinstance(found, BoxExplanation):
            row["boxes"] = box_records(found)
        return row


def _saved(
    found: Explanation,
    folder: Path,
    suffix: str = ".png",
    width: float = WIDTH,
    fps: float | None = None,
    **look: Unpack[LookOptions],
) -> list[Path]:
    """Write one image's files: of a detector one for all boxes, else one for each class."""
    if isinstance(found, BoxExplanation):
        return write_boxes(found, folder / boxes_file(found.name, suffix), width, fps, **look)
    return found.save(folder, suffix=suffix, width=width, fps=fps, **look)
