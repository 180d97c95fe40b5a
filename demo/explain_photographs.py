"""`explain_photographs` exports and verifies EfficientNet-Lite0, and explains photographs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..runtime import Explainer, Explanation, figure
from ..runtime.errors import ImageError
from ..runtime.inputs.image_files import read_image
from ..runtime.inputs.image_names import SUFFIXES
from ..runtime.inputs.names import Names, file_name
from ..runtime.output.render import write_image
from .efficientnet import export_efficientnet, need_packages
from .photographs import Photograph

if TYPE_CHECKING:
    from ..exporter import Report

ARTIFACT = "efficientnet-lite0.onnx"
REPORT = ("report/index.html", "report/report.json")
METHODS = ("gradcam", "gradcam++", "layercam", "eigencam", "fem")
_TOP = 3
_HEIGHT = 240  # of each drawing, in pixels: four landscapes fit into a row
_REPORTED = 12  # photographs that the report shows, and that the export is verified on


@dataclass(frozen=True)
class Task:
    """One photograph, and the pictures to make of it.

    Attributes:
        photograph: The photograph.
        name: A name that no other photograph of the demo has.
        classes: The picture of its classes, relative to the demo's folder.
        methods: The picture of its best class by several methods.
    """

    photograph: Photograph
    name: str
    classes: str
    methods: str


@dataclass(frozen=True)
class Explained:
    """One photograph, explained.

    Attributes:
        task: What was done.
        found: Its explanation by Grad-CAM.
    """

    task: Task
    found: Explanation

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation and its pictures as plain JSON types."""
        return {
            **self.found.to_dict(),
            "image": str(self.task.photograph.path),
            "files": [self.task.classes, self.task.methods],
        }


def plan(photographs: Iterable[Photograph]) -> list[Task]:
    """Name the pictures of each photograph; no two get one name.

    Raises:
        ImageError: A file is missing or no photograph.
    """
    found: list[Photograph] = []
    names, files = Names(), Names()
    for one in photographs:
        if one.path.is_dir():
            raise ImageError(f"{one.path} is a folder; give its photographs: {one.path}/*.jpg")
        read_image(one.path)  # what cannot be read is refused before the export
        found.append(replace(one, name=names.distinct(one.name)))
    classes = [_picture(files.distinct(one.name)) for one in found]
    methods = [_picture(files.distinct(f"{one.name}-methods")) for one in found]
    return [Task(one, one.name, *two) for one, *two in zip(found, classes, methods, strict=True)]


def files_of(tasks: Iterable[Task]) -> list[str]:
    """Return the names of all files that `explain_photographs` writes to its folder."""
    pictures = [file for one in tasks for file in (one.classes, one.methods)]
    return [ARTIFACT, *REPORT, *pictures]


def explain_photographs(
    folder: Path, tasks: Sequence[Task], progress: Callable[[str], None]
) -> tuple[Report, list[Explained]]:
    """Export the model with a report on the photographs, explain each, and draw.

    Args:
        folder: Where the files go.
        tasks: What to explain.
        progress: Called with the name of each step as it begins.

    Raises:
        GraftcamError: A package is missing, or a file cannot be written.
    """
    need_packages()
    artifact = folder / ARTIFACT
    with TemporaryDirectory(prefix="graftcam-") as copies:
        for one in tasks[:_REPORTED]:
            source = one.photograph.path
            suffix = source.suffix if source.suffix.lower() in SUFFIXES else ".jpg"
            shutil.copyfile(source, Path(copies) / file_name(one.name, suffix))
        report = export_efficientnet(
            artifact, images=copies, report=folder / Path(REPORT[0]).parent, progress=progress
        )
    explainer = Explainer(artifact)
    explained: list[Explained] = []
    for one in tasks:
        progress(f"explain {one.name}")
        found = explain(explainer, one.photograph)
        write_image(folder / one.classes, found.panel(_HEIGHT))
        write_image(folder / one.methods, compare(explainer, one.photograph, found.labels[0]))
        explained.append(Explained(one, found))
    return report, explained


def explain(explainer: Explainer, photograph: Photograph) -> Explanation:
    """Explain a photograph's classes by Grad-CAM."""
    classes = list(photograph.classes) or None
    found = explainer.explain(photograph.path, classes=classes, top=_TOP)
    return replace(found, name=photograph.name)


def compare(
    explainer: Explainer, photograph: Photograph, label: str, methods: Sequence[str] = METHODS
) -> Any:
    """Draw one class of a photograph by several methods: RGB uint8 [H, W, 3]."""
    found = explainer.compare(photograph.path, methods, classes=[label])
    return figure([replace(one, name=photograph.name) for one in found], _HEIGHT)


def _picture(name: str) -> str:
    return f"photographs/{file_name(name, '.jpg')}"
